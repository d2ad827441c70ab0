// Live rows: the page asks for itself anew when the event log tells of something, and what changed is put in its place.
// Without this script every page works as well; it is then as new as when it was opened.
"use strict";

const live = document.getElementById("live");
let waiting = false;
let busy = false;
let again = false;
let last = 0;

// One at a time: an answer that is older than another one never comes after it.
async function renew() {
  waiting = false;
  again = busy;
  if (busy) return;
  busy = true;
  last = Date.now();
  try {
    await put();
  } finally {
    busy = false;
    if (again) later(0);
  }
}

async function put() {
  const active = document.activeElement;
  if (active && active.closest("main form") && active.matches("input, textarea, select")) {
    later(3000);
    return;
  }
  let page;
  try {
    const answer = await fetch(location.href, { headers: { "x-live": "1" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    later(5000);
    return;
  }
  let changed = 0;
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
    if (!other || other.innerHTML === part.innerHTML) continue;
    const focus = part.contains(active) ? active.getAttribute("href") || active.id : null;
    const chosen = new Set([...part.querySelectorAll("input[name]:checked")].map((box) => box.value));
    part.replaceChildren(...other.childNodes);
    for (const box of part.querySelectorAll("input[type=checkbox][name]")) box.checked = chosen.has(box.value);
    if (focus) {
      const again = part.querySelector(`[href="${CSS.escape(focus)}"], #${CSS.escape(focus)}`);
      if (again) again.focus({ preventScroll: true });
    }
    changed += 1;
  }
  if (changed) chooseAll();
  if (changed && live) live.textContent = "The page has changed.";
}

function later(after) {
  if (waiting) return;
  waiting = true;
  setTimeout(renew, Math.max(after, 1000 - (Date.now() - last), 0));
}

// A page that nobody sees listens to nothing: a browser has few connections to one host.
let stream = null;

function listen() {
  if (document.hidden) {
    if (stream) stream.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource("/events");
    stream.addEventListener("change", () => later(200));
  }
}

if (document.querySelector("[data-live]") && "EventSource" in window) {
  listen();
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) later(0);
  });
}

// All boxes of a list at once.
function chooseAll() {
  for (const all of document.querySelectorAll("input[data-all][hidden]")) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of all.closest("form, table").querySelectorAll("input[type=checkbox][name]")) box.checked = all.checked;
    });
  }
}
chooseAll();
