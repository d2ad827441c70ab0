
// Single keys, where no text is typed and nobody turned them off. They move the focus and do nothing else.
const keys = document.getElementById("keys");

function rows() {
  const all = document.querySelectorAll("main table.list tbody tr, main .alert, main .card, main .tile");
  return [...all].map((row) => row.querySelector("a[href]")).filter((link) => link && link.checkVisibility());
}

function step(by) {
  const all = rows();
  const here = document.activeElement.closest("tr, .alert, .card, .tile");
  const at = all.findIndex((link) => here && here.contains(link));
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
  if (all[next]) all[next].focus();
}

function led(key) {
  if (key === "?") keys.showModal();
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else {
    const to = key === "/" ? document.querySelector("main input[type=search]") || document.getElementById("search")
      : document.querySelector(`main [data-key="${CSS.escape(key)}"]`);
    if (!to) return false;
    to.focus();
    if (key === "/") to.select();
  }
  return true;
}

if (keys) {
  const show = document.getElementById("show-keys");
  show.hidden = false;
  show.addEventListener("click", () => keys.showModal());
  for (const one of document.querySelectorAll("main [data-key]")) one.setAttribute("aria-keyshortcuts", one.dataset.key);
  document.addEventListener("keydown", (event) => {
    const on = event.target;
    const types = on instanceof Element && on.matches("input:not([type=checkbox]), textarea, select");
    if (types || keys.open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (event.key.length === 1 && led(event.key)) event.preventDefault();
  });
}
