// Filling in a slash command: one chip an option, suggestions above, the keyboard all the way.
import { h, icon, toast } from "./dom.js";
import { leading, limits, listFor, missing, parse, TYPE_WORDS } from "./options.js";
import { comboBox } from "./popover.js";
import { app } from "./state.js";

export class CommandEntry {
  constructor(found, popover, { onSend, onLeave }) {
    this.path = found.path;
    this.node = found.node;
    this.options = found.node.options || [];
    this.popover = popover;
    this.onSend = onSend;
    this.onLeave = onLeave;
    this.chips = [];
    this.completion = 0;
    this.more = h("button", { class: "chip-more", type: "button", role: "combobox", "aria-haspopup": "listbox", "aria-expanded": "false" });
    this.more.addEventListener("click", () => this.showRest());
    this.more.addEventListener("focus", () => this.showRest());
    this.more.addEventListener("keydown", (event) => this.moreKey(event));
    this.name = h("span", { class: "entry-name", tabIndex: this.options.length ? -1 : 0 }, "/" + this.path);
    this.name.addEventListener("keydown", (event) => this.nameKey(event));
    this.element = h("div", { class: "entry", role: "group", "aria-label": `Command /${this.path}` }, this.name, this.more);
    for (const option of this.options.filter((item) => item.required)) this.add(option);
    this.update();
  }

  focus() {
    if (this.chips.length) this.chips[0].input.focus();
    else if (this.options.length) this.more.focus();
    else {
      this.name.focus();
      this.popover.show({ title: "/" + this.path, note: `${this.node.description.replace(/[.]?$/, ".")} Press Enter to use it.` });
    }
  }

  get rest() {
    return this.options.filter((option) => !this.chips.some((chip) => chip.option === option));
  }

  add(option) {
    const chip = option.type === 11 ? this.fileChip(option) : this.textChip(option);
    this.chips.push(chip);
    this.element.insertBefore(chip.node, this.more);
    this.update();
    return chip;
  }

  textChip(option) {
    const isNumber = option.type === 4 || option.type === 10;
    const input = h("input", { class: "chip-input", type: "text", ...comboBox, "aria-label": `${option.name}: ${option.description}`, inputMode: isNumber ? "decimal" : "text", maxLength: 6000 });
    const chip = { option, input, chosen: null, node: h("label", { class: "chip" }, h("span", { class: "chip-name" }, option.name), input) };
    const fit = () => (input.style.width = `${Math.min(60, Math.max(input.value.length + 1, isNumber ? 4 : 12))}ch`);
    chip.fit = fit;
    fit();
    input.addEventListener("input", () => {
      chip.chosen = null;
      chip.node.classList.remove("wrong");
      fit();
      this.suggest(chip);
    });
    input.addEventListener("focus", () => this.suggest(chip));
    input.addEventListener("keydown", (event) => this.chipKey(event, chip));
    return chip;
  }

  fileChip(option) {
    const picker = h("input", { type: "file", class: "sr-only", tabIndex: -1, "aria-label": option.name });
    const face = h("button", { class: "chip-input chip-file", type: "button" }, "choose a file");
    const chip = { option, input: face, file: null, node: h("span", { class: "chip" }, h("span", { class: "chip-name" }, option.name), face, picker) };
    chip.take = (file) => {
      chip.file = file;
      face.textContent = file.name;
      chip.node.classList.remove("wrong");
    };
    face.addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      if (picker.files[0]) chip.take(picker.files[0]);
      face.focus();
    });
    face.addEventListener("focus", () => this.describe(chip));
    face.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !chip.file) return;
      this.chipKey(event, chip);
    });
    return chip;
  }

  // -- suggestions -----------------------------------------------------------------------------------------

  describe(chip, entries = []) {
    const { option } = chip;
    const facts = [TYPE_WORDS[option.type], limits(option), option.required ? "required" : "optional"].filter(Boolean).join(" · ");
    const footer = this.rest.length ? h("div", { class: "pop-footer" }, h("span", {}, "Add"), this.rest.map((item) => this.restButton(item))) : null;
    this.popover.show({ title: `/${this.path}   ${option.name}`, note: h("span", {}, option.description, h("em", {}, `  ${facts}`)), entries, footer, input: chip.input, active: chip.chosen ? -1 : 0 });
  }

  restButton(option) {
    const button = h("button", { class: "pop-add", type: "button", tabIndex: -1, title: option.description }, "+ " + option.name);
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => this.add(option).input.focus());
    return button;
  }

  suggest(chip) {
    const typed = chip.chosen ? "" : chip.input.value.trim().toLowerCase().replace(/^[@#]/, "");
    if (chip.option.autocomplete) return this.complete(chip);
    const list = listFor(chip.option);
    if (!list) return this.describe(chip);
    const fitting = list.filter((item) => `${item.label} ${item.description || ""}`.toLowerCase().includes(typed)).slice(0, 50);
    return this.describe(chip, fitting.map((item) => this.entry(chip, item)));
  }

  entry(chip, item) {
    const art = item.avatar && h("img", { src: item.avatar, alt: "", width: 24, height: 24 });
    return { label: item.label, description: item.description, art, act: () => this.pick(chip, item) };
  }

  async complete(chip) {
    if (chip.chosen) return this.describe(chip);
    const number = ++this.completion;
    this.describe(chip);
    const others = {};
    for (const other of this.chips) {
      if (other === chip || other.file !== undefined || !other.input.value.trim()) continue;
      try {
        others[other.option.name] = this.read(other);
      } catch {
        continue; // half typed: Discord leaves it out as well
      }
    }
    try {
      const answer = await app.line.ask("autocomplete", { command: this.path, focused: chip.option.name, value: chip.input.value, options: others });
      if (number !== this.completion || document.activeElement !== chip.input) return undefined;
      const entries = answer.choices.map((choice) => this.entry(chip, { label: choice.name, value: choice.value, description: String(choice.value) === choice.name ? null : String(choice.value) }));
      this.describe(chip, entries);
    } catch (error) {
      toast(error.message);
    }
    return undefined;
  }

  pick(chip, item) {
    chip.chosen = item;
    chip.input.value = item.label;
    chip.node.classList.remove("wrong");
    chip.fit();
    const next = this.chips.find((other) => other.option.required && !this.isFilled(other));
    if (next) next.input.focus();
    else this.describe(chip);
  }

  showRest() {
    const entries = this.rest.map((option) => ({ label: option.name, description: option.description, extra: TYPE_WORDS[option.type], act: () => this.add(option).input.focus() }));
    this.popover.show({ title: `/${this.path}   options`, entries, input: this.more });
  }

  update() {
    const { length } = this.rest;
    this.more.hidden = !length;
    this.more.textContent = `+ ${length} optional`;
    this.more.setAttribute("aria-label", `Add one of ${length} optional options`);
  }

  // -- keyboard --------------------------------------------------------------------------------------------

  chipKey(event, chip) {
    if (event.isComposing || this.popover.key(event)) return;
    const { key } = event;
    if (key === "Escape") {
      if (this.popover.isOpen && this.popover.items.length) this.popover.hide();
      else this.onLeave("");
    } else if (key === "Enter") {
      if (this.popover.isOpen && this.popover.active >= 0) this.popover.choose();
      else this.send();
    } else if (key === "Tab" && !event.shiftKey && this.popover.isOpen && this.popover.active >= 0 && !chip.chosen && chip.input.value) this.popover.choose();
    else if (key === "Backspace" && !chip.input.value && !chip.file) this.back(chip);
    else return;
    event.preventDefault();
  }

  back(chip) {
    const index = this.chips.indexOf(chip);
    if (!chip.option.required) {
      this.chips.splice(index, 1);
      chip.node.remove();
      this.update();
      if (this.chips.length) this.chips[Math.max(0, index - 1)].input.focus();
      else this.onLeave("/" + this.path);
    } else if (index > 0) this.chips[index - 1].input.focus();
    else this.onLeave("/" + this.path);
  }

  moreKey(event) {
    if (this.popover.key(event)) return;
    if (event.key === "Enter" && this.popover.active >= 0) this.popover.choose();
    else if (event.key === "Enter") this.send();
    else if (event.key === "Escape") this.onLeave("");
    else if (event.key === "Backspace") this.chips.length ? this.chips.at(-1).input.focus() : this.onLeave("/" + this.path);
    else return;
    event.preventDefault();
  }

  nameKey(event) {
    if (event.key === "Enter") this.send();
    else if (event.key === "Escape") this.onLeave("");
    else if (event.key === "Backspace") this.onLeave("/" + this.path);
    else return;
    event.preventDefault();
  }

  // -- sending ---------------------------------------------------------------------------------------------

  isFilled(chip) {
    return Boolean(chip.file || chip.chosen || (chip.input.value !== undefined && chip.input.value.trim() && chip.option.type !== 11));
  }

  read(chip) {
    if (chip.chosen) return chip.chosen.value;
    return parse(chip.option, chip.input.value.trim());
  }

  async send() {
    const values = {};
    for (const chip of this.chips) {
      try {
        if (chip.file) values[chip.option.name] = { file: await app.line.upload(chip.file) };
        else if (this.isFilled(chip)) values[chip.option.name] = this.read(chip);
        else if (chip.option.required) throw new Error(`${chip.option.name} is required.`);
      } catch (error) {
        chip.node.classList.add("wrong");
        chip.input.focus();
        toast(error.message);
        return;
      }
    }
    this.onSend(this.path, values);
  }
}

export { icon, leading, missing };
