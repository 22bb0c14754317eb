// Context menus, by mouse, touch and keyboard.
import { h, icon } from "./dom.js";

export function openMenu(event, entries) {
  document.querySelector(".menu")?.remove();
  const opener = event.type !== "keydown" && event.currentTarget instanceof HTMLElement ? event.currentTarget : event.target;
  const items = entries.map((entry) => h("button", { class: "menu-item", role: "menuitem", type: "button", tabIndex: -1, onclick: () => { close(); entry.act(); } },
    entry.face && h("img", { src: entry.face, alt: "", width: 28, height: 28 }),
    h("span", { class: "menu-words" }, entry.label, entry.below && h("small", {}, entry.below)), entry.hint ? h("small", {}, entry.hint) : entry.icon && icon(entry.icon)));
  const menu = h("div", { class: "menu", role: "menu", "aria-label": "Actions" }, items);
  const close = () => {
    document.removeEventListener("pointerdown", outside, true);
    menu.remove();
    opener.closest(".message")?.focus({ preventScroll: true }); // its buttons are there only while it is looked at
    opener.focus?.({ preventScroll: true });
  };
  const outside = (other) => !menu.contains(other.target) && close();
  menu.addEventListener("keydown", (key) => {
    const index = items.indexOf(document.activeElement);
    const goal = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: items.length - 1 }[key.key];
    if (goal !== undefined) items[(goal + items.length) % items.length].focus();
    else if (key.key === "Escape" || key.key === "Tab") close();
    else return;
    key.preventDefault();
  });
  document.getElementById("main").append(menu);  // a landmark: nothing lies outside them
  const box = opener.getBoundingClientRect();
  const isPointed = event.clientX || event.clientY;
  const [x, y] = isPointed ? [event.clientX, event.clientY] : [box.left, box.bottom];
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`;
  document.addEventListener("pointerdown", outside, true);
  items[0]?.focus();
}
