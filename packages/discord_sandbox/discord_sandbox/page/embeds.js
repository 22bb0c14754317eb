// Embeds, as the client draws them.
import { h } from "./dom.js";
import { inline, markdown } from "./markdown.js";
import { outside, picture } from "./media.js";
import { local } from "./pictures.js";

export function embed(data) {
  const color = data.color === undefined ? null : `--edge:#${data.color.toString(16).padStart(6, "0")}`;
  const body = h("div", { class: "embed-body" },
    data.author && line("embed-author", data.author.name, data.author.icon_url, data.author.url),
    data.title && h("div", { class: "embed-title" }, data.url ? h("a", { href: data.url, target: "_blank", rel: "noopener noreferrer" }, inline(data.title)) : inline(data.title)),
    data.description && h("div", { class: "markdown embed-text" }, markdown(data.description)),
    data.fields && h("div", { class: "embed-fields" }, rows(data.fields)),
    data.image && picture(data.image, "embed-image"),
    footer(data));
  const thumbnail = data.thumbnail && h("div", { class: "embed-thumbnail" }, picture(data.thumbnail, "", [80, 80]));
  return h("article", { class: "embed", style: color }, body, thumbnail);
}

// Up to three inline fields share a row; a field that is not inline has its own.
function rows(fields) {
  const out = [];
  let row = [];
  const flush = () => {
    row.forEach((field, index) => out.push(cell(field, `grid-column:${index * (12 / row.length) + 1} / span ${12 / row.length}`)));
    row = [];
  };
  for (const field of fields) {
    if (!field.inline) {
      flush();
      out.push(cell(field, "grid-column:1 / -1"));
    } else {
      row.push(field);
      if (row.length === 3) flush();
    }
  }
  flush();
  return out;
}

function cell(field, style) {
  return h("div", { class: "embed-field", style }, h("div", { class: "embed-name" }, inline(field.name)), h("div", { class: "markdown" }, markdown(field.value)));
}

function line(className, text, iconUrl, url) {
  const image = iconUrl && iconUrl.includes("/cdn/") && h("img", { src: local(iconUrl), alt: "", width: 20, height: 20 });
  return h("div", { class: className }, image, url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text) : h("span", {}, text));
}

function footer(data) {
  const when = data.timestamp && new Date(data.timestamp).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const text = [data.footer?.text, when].filter(Boolean).join("  •  ");
  return text && line("embed-footer", text, data.footer?.icon_url);
}

export { outside };
