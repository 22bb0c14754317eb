// Small helpers to build the page. Text always goes in as text, never as markup.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key === "style") node.setAttribute("style", value);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key in node && key !== "list" && key !== "form") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
}

// Like replaceChildren, but what is absent (null, false) is left out.
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

export const $ = (selector, root = document) => root.querySelector(selector);

// Our own icons: one path each, drawn on a 24 grid.
const PATHS = {
  hash: "M9.5 4 8 20M16 4l-1.500 16M4.500 9h16M3.500 15h16",
  thread: "M5 5h14v10h-8l-4 4v-4H5z",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5.500 11h13v9h-13z",
  adult: "M12 3.500 21 20H3zM12 10v4.500M12 17.200v.1",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6M16 4.500a3.300 3.300 0 0 1 0 6.200M18 14.500c2 .8 3.200 2.700 3.500 5.500",
  at: "M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zm0 0v1.500a2.500 2.500 0 0 0 5 0V12a9 9 0 1 0-3.500 7.100",
  menu: "M4 6.500h16M4 12h16M4 17.500h16",
  sun: "M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300 19 19M19 5l-1.700 1.700M6.700 17.300 5 19",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  lens: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5",
  plus: "M12 5v14M5 12h14",
  send: "M4 12 20 4l-4.500 16-4-6.500zM11.500 13.500 20 4",
  close: "M6 6l12 12M18 6 6 18",
  dots: "M5.500 12h.1M12 12h.1M18.500 12h.1",
  reply: "M10 6 4 12l6 6M4.500 12H14c4 0 6 2.500 6 6.500",
  bin: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13",
  file: "M6 3.500h8l4 4v13H6zM14 3.500v4h4",
  gone: "M3.500 3.500l17 17M8.500 4.500h11v11M15.500 19.500h-11v-11M4.500 16l4-4 5 5",
  open: "M10 5H5v14h14v-5M13 5h6v6M19 5l-9 9",
  chevron: "m6 9 6 6 6-6",
  eye: "M2.500 12C5 7.500 8 5.500 12 5.500s7 2 9.500 6.500c-2.500 4.500-5.500 6.500-9.500 6.500S5 16.500 2.500 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  chart: "M4 20V4M4 20h16M8 16l4-5 3 3 5-7",
  bolt: "M13 3 5 14h6l-1 7 9-12h-6.500z",
};

export function icon(name, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export function toast(text) {
  const node = h("div", { class: "toast" }, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), 5000);
}

// A dialog in the top layer: the browser keeps the focus inside it and gives it back.
export function openDialog(node, { label } = {}) {
  const dialog = h("dialog", { class: "dialog", "aria-label": label }, node);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  // Not on "close": that comes in a later task, and until then the focus is on what cannot be seen.
  new MutationObserver(() => {
    dialog.remove();
    // The element that opened it may have been drawn again since.
    if (document.activeElement === document.body) document.getElementById("scroll").focus();
  }).observe(dialog, { attributeFilter: ["open"] });
  return dialog;
}
