// What looks at a page from inside: it runs before the page's own scripts, and the tests ask it.
"use strict";

(() => {
  // Who waits for the mouse: whoever does must be reached with keys as well.
  const mouse = new Set();
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (kind, ...rest) {
    if (/^(click|dblclick|mouse|pointer|touch)/.test(kind)) mouse.add(this);
    return listen.call(this, kind, ...rest);
  };

  const STOPS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], iframe, audio, video, [contenteditable]";
  const seen = (one) => one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const stops = () => [...document.querySelectorAll(STOPS)].filter((one) => one.tabIndex >= 0 && !one.disabled && seen(one));
  const name = (one) => {
    if (!(one instanceof Element)) return String(one);
    const word = one.getAttribute("aria-label") || one.name || one.textContent;
    return `<${one.localName}${one.id ? "#" + one.id : ""}> '${word.trim().replace(/\s+/g, " ").slice(0, 40)}'`;
  };
  const style = (one) => {
    const is = getComputedStyle(one);
    const outline = is.outlineStyle !== "none" && parseFloat(is.outlineWidth) >= 1;
    return { outline, rest: [is.boxShadow, is.backgroundColor, is.textDecorationLine, is.borderTopColor].join() };
  };

  let met = [];
  let plain = new Map();
  const faults = [];
  const isOnScreen = (one) => {
    const at = one.getBoundingClientRect();
    return at.bottom > 0 && at.right > 0 && at.top < innerHeight && at.left < innerWidth && at.width >= 1 && at.height >= 1;
  };
  listen.call(document, "focusin", ({ target }) => {
    met.push(target);
    const now = style(target);
    const before = plain.get(target);
    if (!now.outline && before && before.rest === now.rest) faults.push(`nothing shows that it has the focus: ${name(target)}`);
  }, true);
  // When the key comes up again, what has the focus has scrolled into view.
  listen.call(document, "keyup", ({ target }) => {
    if (target !== document.body && !isOnScreen(target)) faults.push(`has the focus off the screen: ${name(target)}`);
  }, true);

  // From the top: how often Tab is to be pressed to come round.
  const begin = () => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
    scrollTo(0, 0);
    met = [];
    faults.length = 0;
    const all = stops();
    plain = new Map(all.map((one) => [one, style(one)]));
    return all.length;
  };

  // What was wrong on the way of the Tab key.
  const way = () => {
    const all = stops();
    const wrong = [...faults];
    document.activeElement.blur();
    const way = met.slice(0, all.length);
    for (const one of all) if (!way.includes(one)) wrong.push(`Tab never comes to ${name(one)}`);
    for (const one of way) if (!all.includes(one)) wrong.push(`Tab comes to ${name(one)}, which is no control`);
    if (!wrong.length) {
      const at = all.findIndex((one, at) => way[at] !== one);
      if (at >= 0) wrong.push(`Tab comes to ${name(way[at])} where ${name(all[at])} is next`);
    }
    const skip = document.querySelector("a.skip");
    if (document.querySelector("header nav") && all[0] !== skip) wrong.push("the skip link is not first");
    return wrong;
  };

  // Children that are seen in another order than they are read in.
  const disordered = () => {
    const wrong = [];
    for (const box of document.body.querySelectorAll("*")) {
      if (!/flex|grid/.test(getComputedStyle(box).display) || !seen(box) || box.closest("svg")) continue;
      const all = [...box.children].filter((one) => seen(one) && !/absolute|fixed/.test(getComputedStyle(one).position));
      const at = all.map((one) => one.getBoundingClientRect());
      for (let i = 1; i < all.length; i += 1) {
        const [a, b] = [at[i - 1], at[i]];
        if (!a.width || !b.width || !a.height || !b.height) continue;
        const isAbove = b.bottom <= a.top + 1;
        const isLeft = b.right <= a.left + 1 && b.top < a.bottom - 1;
        if (isAbove || isLeft) wrong.push(`read after ${name(all[i - 1])}, seen before it: ${name(all[i])}`);
      }
    }
    return wrong;
  };

  // What is wrong with the page as it stands, beside what axe-core knows.
  const wrong = () => {
    const wrong = disordered();
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) {
      const all = [...document.body.querySelectorAll("*")].filter((one) => seen(one) && one.getBoundingClientRect().right > innerWidth + 1);
      wrong.push(`it is wider than the window by ${wide}: ${all.slice(0, 3).map(name)}`);
    }
    if (document.querySelectorAll("h1").length !== 1) wrong.push("it has not one heading of the first rank");
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) wrong.push(`two have the id '${id}'`);
    for (const one of document.querySelectorAll("[tabindex]")) if (one.tabIndex > 0) wrong.push(`it jumps the queue of Tab: ${name(one)}`);
    for (const one of mouse) {
      const isControl = one instanceof Element && (one.matches(STOPS) || document.querySelector(`[aria-controls="${one.id}"]`));
      if (!isControl) wrong.push(`it waits for the mouse alone: ${name(one)}`);
    }
    return wrong;
  };

  // Where the page leads to, by GET.
  const links = () => {
    const all = [...document.querySelectorAll("a[href]")].map((one) => one.href);
    const own = all.filter((href) => href.startsWith(location.origin + "/"));
    return own.map((href) => href.slice(location.origin.length).split("#")[0]);
  };

  const page = () => ({
    path: location.pathname + location.search,
    status: performance.getEntriesByType("navigation")[0].responseStatus,
    links: links(),
  });

  window.look = { begin, way, wrong, page, unfold: () => document.querySelectorAll("details").forEach((one) => { one.open = true; }) };
})();
