// Components: buttons, selects, and the v2 layout.
import { h, icon } from "./dom.js";
import { jumpOf, markdown } from "./markdown.js";
import { fileCard, gallery, picture } from "./media.js";
import { app, here, state, titleOf } from "./state.js";

const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "premium" };

export function components(message, list) {
  return list.map((component) => DRAW[component.type]?.(message, component) || null);
}

const DRAW = {
  1: (message, row) => h("div", { class: "row" }, components(message, row.components)),
  2: button,
  3: select,
  5: select,
  6: select,
  7: select,
  8: select,
  9: section,
  10: (message, text) => h("div", { class: "markdown" }, markdown(text.content)),
  11: (message, thumbnail) => picture({ ...thumbnail.media, description: thumbnail.description, spoiler: thumbnail.spoiler }, "thumbnail", [85, 85]),
  12: (message, list) => gallery(list.items.map((item) => ({ ...item.media, alt: item.description, spoiler: item.spoiler }))),
  13: (message, file) => fileCard({ ...file.file, name: file.name, size: file.size }),
  14: (message, line) => h("hr", { class: `separator ${line.divider ? "" : "plain"} ${line.spacing === 2 ? "large" : ""}` }),
  17: container,
};

function container(message, box) {
  const color = box.accent_color === null || box.accent_color === undefined ? null : `--edge:#${box.accent_color.toString(16).padStart(6, "0")}`;
  return h("div", { class: `container ${color ? "edged" : ""} ${box.spoiler ? "veiled" : ""}`, style: color, onclick: (event) => event.currentTarget.classList.remove("veiled") }, components(message, box.components));
}

function section(message, part) {
  return h("div", { class: "section" }, h("div", { class: "section-text" }, components(message, part.components)), components(message, [part.accessory]));
}

export const emoji = (data) => data && h("span", { class: "emoji" }, data.id ? "◆" : data.name);

function button(message, data) {
  const label = [emoji(data.emoji), data.label && h("span", {}, data.label)];
  const jump = data.style === 5 && jumpOf(data.url);
  if (jump) return h("button", { class: "button link", type: "button", disabled: data.disabled, onclick: jump }, label);
  if (data.style === 5) {
    return h("a", { class: "button link", href: data.url, target: "_blank", rel: "noopener noreferrer" }, label, icon("open"));
  }
  const props = { class: `button ${STYLES[data.style]}`, type: "button", disabled: data.disabled, data: { key: `${message.id}/${data.custom_id}` } };
  const node = h("button", { ...props, "aria-label": data.label || data.emoji?.name }, label);
  node.addEventListener("click", () => app.act(message, data.custom_id, "click", { message: message.id, custom_id: data.custom_id }));
  return node;
}

// A select is a button that opens a list box: the list can be searched and holds people, roles and channels too.
function select(message, data) {
  const options = optionsOf(data);
  const most = data.max_values ?? 1;
  const least = data.min_values ?? 1;
  let chosen = options.filter((option) => option.default).map((option) => option.value);
  const face = h("span", { class: "select-face" });
  const draw = () => {
    const names = options.filter((o) => chosen.includes(o.value)).map((o) => o.label);
    face.textContent = names.join(", ") || data.placeholder || "Make a selection";
    face.classList.toggle("empty", !names.length);
  };
  draw();
  const opener = h("button", { class: "select", type: "button", disabled: data.disabled, "aria-haspopup": "listbox", "aria-expanded": "false", data: { key: `${message.id}/${data.custom_id}` } }, face, icon("chevron"));
  const send = (values) => {
    chosen = values;
    draw();
    const wrap = (value) => (data.type === 3 ? value : JSON.parse(value));
    app.act(message, data.custom_id, "select", { message: message.id, custom_id: data.custom_id, values: values.map(wrap) });
  };
  opener.addEventListener("click", () => openList(opener, options, { most, least, chosen, send }));
  return h("div", { class: "select-box" }, opener);
}

export function optionsOf(data) {
  if (data.type === 3) return data.options;
  const guild = here()?.guild;
  const people = (guild?.members || [state.world.you, state.world.bot]).map((m) => ({ label: m.name, value: JSON.stringify({ user: m.id }), description: m.username, avatar: m.avatar }));
  const roles = (guild?.roles || []).map((r) => ({ label: "@" + r.name.replace(/^@/, ""), value: JSON.stringify({ role: r.id }) }));
  const fitting = (guild?.channels || []).filter((c) => !data.channel_types?.length || data.channel_types.includes(c.type));
  const channels = fitting.map((c) => ({ label: titleOf(c), value: JSON.stringify({ channel: c.id }) }));
  const chosen = (data.default_values || []).map(({ id, type }) => JSON.stringify({ [type]: id }));
  const options = { 5: people, 6: roles, 7: [...people, ...roles], 8: channels }[data.type];
  return options.map((option) => ({ ...option, default: chosen.includes(option.value) }));
}

export function openList(opener, options, { most, least, chosen, send }) {
  document.querySelector(".listbox")?.remove();
  const picked = new Set(chosen);
  const isMany = most > 1;
  let active = Math.max(0, options.findIndex((option) => picked.has(option.value)));
  const items = options.map((option, index) => {
    const item = h("div", { class: "list-item", role: "option", id: `list-${index}`, "aria-selected": picked.has(option.value) },
      option.avatar && h("img", { src: option.avatar, alt: "", width: 24, height: 24 }), emoji(option.emoji),
      h("span", { class: "list-words" }, h("span", {}, option.label), option.description && h("small", {}, option.description)),
      isMany && h("span", { class: "tick", "aria-hidden": "true" }));
    item.addEventListener("pointermove", () => move(index));
    item.addEventListener("click", () => pick(index));
    return item;
  });
  const list = h("div", { class: "listbox", role: "listbox", tabIndex: 0, "aria-multiselectable": isMany, "aria-label": "Options" }, items);
  const move = (index) => {
    active = (index + items.length) % items.length;
    items.forEach((item, n) => item.classList.toggle("active", n === active));
    list.setAttribute("aria-activedescendant", `list-${active}`);
    items[active]?.scrollIntoView({ block: "nearest" });
  };
  const close = (isSent) => {
    document.removeEventListener("pointerdown", outside, true);
    list.remove();
    opener.setAttribute("aria-expanded", "false");
    if (isSent && isMany && picked.size >= least && picked.size <= most && [...picked].sort().join() !== [...chosen].sort().join()) send([...picked]);
    opener.focus({ preventScroll: true });
  };
  const pick = (index) => {
    const value = options[index].value;
    if (!isMany) {
      close(false);
      // As in Discord's own client: what is shown as chosen is not sent again, until the message changes.
      if (!chosen.includes(value)) send([value]);
      return;
    }
    if (picked.has(value)) picked.delete(value);
    else if (picked.size < most) picked.add(value);
    items[index].setAttribute("aria-selected", picked.has(value));
  };
  const outside = (event) => !list.contains(event.target) && close(true);
  list.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (steps[event.key]) move(active + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") pick(active);
    else if (event.key === "Escape" || event.key === "Tab") close(event.key === "Tab");
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  opener.parentElement.append(list);
  opener.setAttribute("aria-expanded", "true");
  place(list, opener);
  // In a form it lies within the label of its opener, which would be pressed again by every click.
  list.addEventListener("click", (event) => event.preventDefault());
  document.addEventListener("pointerdown", outside, true);
  list.focus({ preventScroll: true });
  move(active);
}

const LIST_HEIGHT = 300;

// Below its opener, or above where there is more room; never beyond what scrolls around it.
function place(list, opener) {
  const room = (opener.closest(".form-body, #scroll") || document.documentElement).getBoundingClientRect();
  const box = opener.getBoundingClientRect();
  const [above, below] = [box.top - room.top - 8, room.bottom - box.bottom - 8];
  const isUpward = below < Math.min(LIST_HEIGHT, list.scrollHeight) && above > below;
  list.classList.toggle("upward", isUpward);
  list.style.maxHeight = `${Math.max(120, Math.min(LIST_HEIGHT, isUpward ? above : below))}px`;
}
