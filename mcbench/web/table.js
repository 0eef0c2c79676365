// Sortable and filtered tables. Without this file they are plain tables in the order in which they were written.
(() => {
  "use strict";

  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function valueOf(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    return (cell.dataset.value ?? cell.textContent).trim();
  }

  function sortBy(table, heading, direction) {
    const column = heading.cellIndex;
    const isNumber = heading.dataset.sort === "number";
    const sign = direction === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row, index) => ({ row, index, value: valueOf(row, column) }));
      rows.sort((a, b) => {
        if (a.value === "" || b.value === "") {
          // What has no value stays last in both directions.
          return (a.value === "") - (b.value === "") || a.index - b.index;
        }
        const order = isNumber ? Number(a.value) - Number(b.value) : collator.compare(a.value, b.value);
        return order * sign || a.index - b.index;
      });
      body.append(...rows.map((item) => item.row));
    }
    for (const other of heading.parentElement.cells) {
      if (other.dataset.sort) other.setAttribute("aria-sort", other === heading ? direction : "none");
    }
  }

  function makeSortable(table) {
    for (const heading of table.tHead ? table.tHead.querySelectorAll("th[data-sort]") : []) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      const isBadge = (node) => node instanceof Element && node.classList.contains("badge");
      button.append(...[...heading.childNodes].filter((node) => !isBadge(node)));
      heading.prepend(button);
      if (!heading.hasAttribute("aria-sort")) heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        // The best value first, where the column says which that is.
        const first = heading.dataset.first === "descending" ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        sortBy(table, heading, now === first ? second : first);
      });
    }
  }

  function filterRows(table) {
    const fields = [...document.querySelectorAll(`[data-filter="${CSS.escape(table.id)}"]`)];
    let left = 0;
    for (const body of table.tBodies) {
      for (const row of body.rows) {
        const shown = fields.every((field) => {
          const wanted = field.value.trim().toLowerCase();
          if (!wanted) return true;
          if (field.dataset.column === undefined) return row.textContent.toLowerCase().includes(wanted);
          return valueOf(row, Number(field.dataset.column)).toLowerCase() === wanted;
        });
        row.hidden = !shown;
        left += shown;
      }
    }
    for (const output of document.querySelectorAll(`[data-count="${CSS.escape(table.id)}"]`)) {
      output.textContent = `${left} ${left === 1 ? "row" : "rows"}`;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("table.sortable").forEach(makeSortable);
    for (const field of document.querySelectorAll("[data-filter]")) {
      const table = document.getElementById(field.dataset.filter);
      if (!table) continue;
      const label = field.closest("label");
      if (label) label.hidden = false;
      field.addEventListener("input", () => filterRows(table));
      filterRows(table);
    }
  });
})();
