// Light or dark: as the system says, until the reader chooses otherwise. Loaded in the head, so that nothing flashes.
(() => {
  "use strict";
  const KEY = "mcbench-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  // A page from disk may have no storage: the choice then holds for this page alone.
  function recall() {
    try { return localStorage.getItem(KEY); } catch { return null; }
  }
  function remember(theme) {
    try { localStorage.setItem(KEY, theme); } catch { /* as above */ }
  }
  function current() {
    return root.dataset.theme || (system.matches ? "dark" : "light");
  }

  const kept = recall();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const label = () => {
        const other = current() === "dark" ? "light" : "dark";
        button.textContent = other === "dark" ? "☾ Dark" : "☀ Light";
        button.setAttribute("aria-label", `Switch to ${other} colours`);
      };
      button.hidden = false;
      button.addEventListener("click", () => {
        root.dataset.theme = current() === "dark" ? "light" : "dark";
        remember(root.dataset.theme);
        label();
      });
      system.addEventListener("change", label);
      label();
    }
  });
})();
