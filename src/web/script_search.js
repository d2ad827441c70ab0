
// The box of a list completes what may be asked: a combobox with a list, as the ARIA practices describe it.
function completing(input) {
  const list = document.createElement("ul");
  list.id = `${input.id}-offers`;
  list.className = "offers";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What may follow");
  input.parentElement.append(list);
  const told = { role: "combobox", autocomplete: "off", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
  for (const [name, value] of Object.entries(told)) input.setAttribute(name, value);
  let keep = "";
  let rest = "";
  let at = -1;
  let timer = 0;
  let asking = null;

  function close() {
    clearTimeout(timer);
    if (asking) asking.abort();
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function go(to) {
    const all = list.children;
    if (all[at]) all[at].setAttribute("aria-selected", "false");
    at = (to + all.length) % all.length;
    all[at].setAttribute("aria-selected", "true");
    all[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", all[at].id);
  }

  function pick(row) {
    const isKey = row.dataset.put.endsWith(":");
    const head = keep + row.dataset.put + (isKey || /^\s/.test(rest) ? "" : " ");
    input.value = head + rest;
    input.setSelectionRange(head.length, head.length);
    close();
    if (isKey) soon(0);
  }

  async function ask() {
    const to = input.selectionStart ?? input.value.length;
    const text = input.value.slice(0, to);
    rest = input.value.slice(to);
    asking = new AbortController();
    let offered;
    try {
      const answer = await fetch(`${input.dataset.complete}?q=${encodeURIComponent(text)}`, { credentials: "same-origin", signal: asking.signal });
      if (!answer.ok || answer.redirected) return;
      offered = await answer.json();
    } catch {
      return;
    }
    if (document.activeElement !== input || input.value !== text + rest) return;
    keep = offered.keep;
    const done = offered.rows.length === 1 && keep + offered.rows[0].put === text;
    if (!offered.rows.length || done) {
      close();
      return;
    }
    list.replaceChildren(...offered.rows.map(({ put, about }, number) => {
      const row = document.createElement("li");
      row.id = `${list.id}-${number}`;
      row.dataset.put = put;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", "false");
      const word = document.createElement("span");
      word.textContent = put;
      const small = document.createElement("small");
      small.textContent = about;
      row.append(word, " ", small);
      return row;
    }));
    at = -1;
    input.removeAttribute("aria-activedescendant");
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    if (live) live.textContent = `${offered.rows.length} may follow`;
  }

  function soon(after) {
    clearTimeout(timer);
    if (asking) asking.abort();
    timer = setTimeout(ask, after);
  }

  input.addEventListener("input", () => soon(120));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (open) go(event.key === "ArrowDown" ? at + 1 : Math.max(at, 0) - 1);
      else soon(0);
    } else if (event.key === "Enter" && open && at >= 0) {
      event.preventDefault();
      pick(list.children[at]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      close();
    }
  });
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (row) pick(row);
  });
}

for (const input of document.querySelectorAll("input[data-complete]")) completing(input);
