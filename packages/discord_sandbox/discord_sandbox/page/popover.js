// The list above the composer: commands, choices, completions. The focus stays in the text.
import { $, h } from "./dom.js";

export class Popover {
  constructor(host) {
    this.node = h("div", { class: "popover", hidden: true });
    this.items = [];
    this.active = -1;
    host.append(this.node);
  }

  get isOpen() {
    return !this.node.hidden;
  }

  // `entries`: { label, description, extra, art, act }. The first is active unless `active` says otherwise.
  show({ title, note, entries = [], footer = null, active = 0, input = null }) {
    this.entries = entries;
    this.input = input;
    this.items = entries.map((entry, index) => {
      const item = h("div", { class: "pop-item", role: "option", id: `pop-${index}` }, entry.art,
        h("span", { class: "pop-words" }, h("span", { class: "pop-label" }, entry.label), entry.description && h("small", {}, entry.description)),
        entry.extra && h("span", { class: "pop-extra" }, entry.extra));
      item.addEventListener("pointerdown", (event) => event.preventDefault());
      item.addEventListener("click", () => entry.act());
      item.addEventListener("pointermove", () => this.active !== index && this.move(index, false));
      return item;
    });
    const list = entries.length ? h("div", { class: "pop-list", role: "listbox", id: "pop-list", "aria-label": title || "Suggestions" }, this.items) : null;
    this.node.replaceChildren(...[title && h("div", { class: "pop-title" }, title), note && h("div", { class: "pop-note" }, note), list, footer].filter(Boolean));
    this.node.hidden = false;
    this.tell(entries.length > 0);
    this.move(entries.length ? active : -1, true);
  }

  hide() {
    this.node.hidden = true;
    this.items = [];
    this.active = -1;
    this.tell(false);
  }

  // What a screen reader hears of it, by the input that keeps the focus. A text box cannot be "expanded".
  tell(isOpen) {
    const { input } = this;
    if (!input) return;
    if (input.getAttribute("role") === "combobox") input.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) input.setAttribute("aria-controls", "pop-list");
    else {
      input.removeAttribute("aria-controls");
      input.removeAttribute("aria-activedescendant");
    }
  }

  move(index, scrolls = true) {
    const count = this.items.length;
    this.active = count && index >= 0 ? (index + count) % count : -1;
    this.items.forEach((item, n) => {
      item.classList.toggle("active", n === this.active);
      item.setAttribute("aria-selected", String(n === this.active));
    });
    if (this.active >= 0) {
      this.input?.setAttribute("aria-activedescendant", `pop-${this.active}`);
      if (scrolls) this.items[this.active].scrollIntoView({ block: "nearest" });
    }
  }

  // Arrow keys move, true when the key was used.
  key(event) {
    if (!this.isOpen || !this.items.length) return false;
    if (event.key === "ArrowDown") this.move(this.active + 1);
    else if (event.key === "ArrowUp") this.move(this.active <= 0 ? this.items.length - 1 : this.active - 1);
    else return false;
    event.preventDefault();
    return true;
  }

  choose() {
    const entry = this.entries[this.active];
    entry?.act();
    return Boolean(entry);
  }
}

export const completing = { "aria-autocomplete": "list", "aria-haspopup": "listbox", autocomplete: "off", spellcheck: true };
export const comboBox = { ...completing, role: "combobox", "aria-expanded": "false" };

export { $ };
