// A modal: the bot's form in a dialog.
import { h, icon, openDialog } from "./dom.js";
import { markdown } from "./markdown.js";
import { openList, optionsOf } from "./parts.js";
import { app } from "./state.js";

export function openModal(outcome) {
  const modal = outcome.modal;
  const fields = [];
  const body = modal.components.map((part) => line(part, fields));
  const error = h("p", { class: "form-error", role: "alert" });
  const submit = h("button", { class: "button primary", type: "submit" }, "Submit");
  const form = h("form", { class: "form", method: "dialog" },
    h("header", {}, h("img", { src: app.bot().avatar, alt: "", width: 24, height: 24 }), h("h2", {}, modal.title),
      h("button", { class: "plain", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
    h("div", { class: "form-body" }, body, error),
    h("footer", {}, h("button", { class: "button text", type: "button", onclick: () => dialog.close() }, "Cancel"), submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    submit.disabled = true;
    try {
      const values = {};
      for (const field of fields) {
        const value = await field.read();
        if (value !== undefined) values[field.id] = value;
      }
      const answer = await app.line.ask("modal", { interaction: outcome.interaction, values });
      if (answer.failed) throw new Error("Something went wrong. Try again.");
      dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
    }
    submit.disabled = false;
  });
  const dialog = openDialog(form, { label: modal.title });
  form.querySelector("input, textarea, .select")?.focus();
}

function line(part, fields) {
  if (part.type === 10) return h("div", { class: "markdown" }, markdown(part.content));
  const isLabel = part.type === 18;
  const input = isLabel ? part.component : part.components[0];
  const drawn = FIELDS[input.type](input);
  fields.push({ id: input.custom_id, read: drawn.read });
  const isNeeded = input.required !== false && input.type !== 23;
  const name = isLabel ? part.label : input.label;
  const title = h("span", { class: "form-name" }, name, isNeeded && h("span", { class: "needed", "aria-label": "required" }, " *"));
  return h(drawn.isGroup ? "fieldset" : "label", { class: "form-line" }, drawn.isGroup ? h("legend", {}, title) : title,
    isLabel && part.description && h("small", {}, part.description), drawn.node);
}

function text(input) {
  const props = { value: input.value || "", placeholder: input.placeholder || "", maxLength: input.max_length || 4000, required: input.required !== false };
  if (input.min_length) props.minLength = input.min_length;
  const node = input.style === 2 ? h("textarea", { ...props, rows: 5 }) : h("input", { ...props, type: "text", autocomplete: "off" });
  return { node, read: () => node.value };
}

function choice(input) {
  const options = optionsOf(input);
  let chosen = options.filter((option) => option.default).map((option) => option.value);
  const face = h("span", { class: "select-face empty" });
  const draw = () => {
    const names = options.filter((o) => chosen.includes(o.value)).map((o) => o.label);
    face.textContent = names.join(", ") || input.placeholder || "Make a selection";
    face.classList.toggle("empty", !names.length);
  };
  draw();
  const opener = h("button", { class: "select", type: "button" }, face, icon("chevron"));
  const send = (values) => {
    chosen = values;
    draw();
  };
  opener.addEventListener("click", () => openList(opener, options, { most: input.max_values ?? 1, least: input.min_values ?? 1, chosen, send }));
  const read = () => (input.type === 3 ? chosen : chosen.map((value) => JSON.parse(value)));
  return { node: h("div", { class: "select-box" }, opener), read };
}

function upload(input) {
  const node = h("input", { type: "file", multiple: (input.max_values ?? 1) > 1 });
  const read = async () => {
    const keys = [];
    for (const file of node.files) keys.push({ file: await app.line.upload(file) });
    return keys.length ? keys : undefined;
  };
  return { node, read };
}

function several(input, type) {
  const boxes = (input.options || []).map((option) => {
    const box = h("input", { type, name: input.custom_id, value: option.value, checked: option.default });
    return { box, node: h("label", { class: "tickline" }, box, h("span", {}, option.label, option.description && h("small", {}, option.description))) };
  });
  const read = () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
  return { node: h("div", {}, boxes.map(({ node }) => node)), read, isGroup: true };
}

function tick(input) {
  const node = h("input", { type: "checkbox", checked: input.default });
  return { node, read: () => node.checked };
}

const FIELDS = {
  3: choice,
  4: text,
  5: choice,
  6: choice,
  7: choice,
  8: choice,
  19: upload,
  21: (input) => several(input, "radio"),
  22: (input) => several(input, "checkbox"),
  23: tick,
};
