// The keyboard of a board: / goes to the filter, Escape clears it; and a word where no row is left.
(() => {
  "use strict";
  const find = document.getElementById("find");
  const fields = [...document.querySelectorAll("[data-filter]")];
  const rows = [...document.querySelectorAll("#board > tbody > tr")];
  const nothing = document.getElementById("nothing");

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      find.focus();
    } else if (event.key === "Escape" && fields.includes(event.target)) {
      event.target.value = "";
      event.target.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  // Bubbles, so that the rows are already filtered.
  document.addEventListener("input", () => {
    nothing.hidden = rows.some((row) => !row.hidden);
  });
})();
