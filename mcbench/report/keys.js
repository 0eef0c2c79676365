// Keys that all pages of a report know: the help, and the next and previous clip.
(() => {
  "use strict";

  // A key that somebody types, or that belongs to the browser, is not ours.
  function isOurs(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return false;
    const target = event.target;
    if (target instanceof HTMLElement && target.isContentEditable) return false;
    if (target instanceof HTMLInputElement) return target.type === "range" || target.type === "checkbox";
    return !(target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const help = document.getElementById("help");
    const toggle = () => (help.open ? help.close() : help.showModal());
    for (const button of document.querySelectorAll("[data-help]")) {
      button.hidden = false;
      button.addEventListener("click", toggle);
    }
    document.addEventListener("keydown", (event) => {
      if (!isOurs(event)) return;
      if (event.key === "?") {
        toggle();
        event.preventDefault();
      } else if (!help.open && (event.key === "j" || event.key === "k")) {
        document.getElementById(event.key === "j" ? "next-clip" : "previous-clip")?.click();
        event.preventDefault();
      }
    });
  });

  window.mcbenchKeys = { isOurs };
})();
