// Discord's markdown as DOM nodes. Nothing here ever parses HTML.
import { h } from "./dom.js";
import { app, findChannel, person, role } from "./state.js";

const INLINE = [
  [/^\\([^a-zA-Z0-9\s])/, (m) => m[1]],
  [/^(`+)([\s\S]*?[^`])\1(?!`)/, (m) => h("code", { class: "inline" }, m[2].trim() || m[2])],
  [/^<@!?(\d+)>/, (m) => mention("@" + (person(m[1])?.name || "unknown-user"))],
  [/^<@&(\d+)>/, (m) => mention("@" + (role(m[1])?.name || "unknown-role"), role(m[1])?.color)],
  [/^<#(\d+)>/, (m) => mention("#" + (findChannel(m[1])?.channel.name || "unknown"))],
  [/^<\/([^:>]+):\d+>/, (m) => command(m[1])],
  [/^<t:(-?\d+)(?::([tTdDfFR]))?>/, (m) => time(Number(m[1]), m[2] || "f")],
  [/^<a?:(\w+):\d+>/, (m) => h("span", { class: "emoji-name" }, `:${m[1]}:`)],
  [/^@(everyone|here)\b/, (m) => mention("@" + m[1])],
  [/^\[((?:[^\[\]\\]|\\.)+)\]\((<?)(https?:\/\/[^\s)>]+)\2>?\)/, (m) => link(m[3], inline(m[1]))],
  [/^<(https?:\/\/[^\s>]+)>/, (m) => link(m[1], [m[1]])],
  [/^https?:\/\/[^\s<>"]+[^\s<>"'.,:;!?)\]*_~|]/, (m) => link(m[0], [m[0]])],
  [/^\*\*\*((?:[^*]|\*(?!\*\*))+?)\*\*\*(?!\*)/, (m) => h("em", {}, h("strong", {}, inline(m[1])))],
  [/^\*\*((?:\\[\s\S]|[^\\])+?)\*\*(?!\*)/, (m) => h("strong", {}, inline(m[1]))],
  [/^__((?:\\[\s\S]|[^\\])+?)__(?!_)/, (m) => h("u", {}, inline(m[1]))],
  [/^~~((?:\\[\s\S]|[^\\])+?)~~/, (m) => h("s", {}, inline(m[1]))],
  [/^\|\|((?:\\[\s\S]|[^\\])+?)\|\|/, (m) => spoiler(inline(m[1]))],
  [/^\*(?!\s)((?:\\[\s\S]|[^\\*]|\*\*)+?)\*(?!\*)/, (m) => h("em", {}, inline(m[1]))],
];
const WORD_ITALIC = /^_((?:\\[\s\S]|[^\\_])+?)_(?![A-Za-z0-9_])/;
const SPECIAL = /[\\`<@[*_~|]|https?:/;

export function inline(text) {
  const nodes = [];
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(plain);
    plain = "";
  };
  while (text) {
    const found = match(text, plain);
    if (found) {
      flush();
      nodes.push(found.node);
      text = text.slice(found.length);
    } else if (text[0] === "\n") {
      flush();
      nodes.push(h("br"));
      text = text.slice(1);
    } else {
      const next = text.slice(1).search(/[\\`<@[*_~|\n]|https?:/);
      const length = next < 0 ? text.length : next + 1;
      plain += text.slice(0, length);
      text = text.slice(length);
    }
  }
  flush();
  return nodes;
}

function match(text, before) {
  if (!SPECIAL.test(text.slice(0, 8))) return null;
  for (const [pattern, make] of INLINE) {
    const found = pattern.exec(text);
    if (found) return { node: make(found), length: found[0].length };
  }
  const italic = /\w$/.test(before) ? null : WORD_ITALIC.exec(text);
  return italic ? { node: h("em", {}, inline(italic[1])), length: italic[0].length } : null;
}

function command(path) {
  return h("button", { class: "mention", type: "button", onclick: () => app.type(path) }, "/" + path);
}

function mention(text, color) {
  return h("span", { class: "mention", style: color ? `--mention:${color}` : null }, text);
}

// A link to a message goes there on this page; the real Discord knows nothing of it.
const JUMP = /^https:\/\/(?:\w+\.)?discord\.com\/channels\/(?:\d+|@me)\/(\d+)(?:\/(\d+))?$/;

export function jumpOf(url) {
  const found = JUMP.exec(url);
  return found && findChannel(found[1]) && (() => app.jump(found[1], found[2]));
}

function link(url, children) {
  const jump = jumpOf(url);
  if (jump) return h("button", { class: "linkish", type: "button", onclick: jump }, children);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, children);
}

function spoiler(children) {
  const show = (event) => event.currentTarget.classList.add("shown");
  return h("span", { class: "spoiler", role: "button", tabIndex: 0, "aria-label": "Spoiler", onclick: show, onkeydown: (e) => e.key === "Enter" && show(e) }, h("span", {}, children));
}

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};
const STEPS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function relative(unixS) {
  const away = unixS - Date.now() / 1000;
  const [unit, size] = STEPS.find(([, s]) => Math.abs(away) >= s) || ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(away / size), unit);
}

function time(unixS, style) {
  const date = new Date(unixS * 1000);
  const words = style === "R" ? relative(unixS) : new Intl.DateTimeFormat("en", STYLES[style]).format(date);
  const node = h("time", { class: "stamp", dateTime: date.toISOString(), title: date.toLocaleString() }, words);
  if (style === "R") node.dataset.relative = unixS;
  return node;
}

setInterval(() => {
  for (const node of document.querySelectorAll("time[data-relative]")) node.textContent = relative(Number(node.dataset.relative));
}, 1000);

const LIST = /^(\s*)([-*]|\d+\.)\s+(.*)$/;

export function markdown(text) {
  const nodes = [];
  const pieces = text.split(/```/);
  pieces.forEach((piece, index) => {
    const isCode = index % 2 === 1 && index < pieces.length - 1;
    if (isCode) nodes.push(codeBlock(piece));
    else if (piece) nodes.push(...blocks(index % 2 === 1 ? "```" + piece : piece.replace(index ? /^\n/ : /^/, "")));
  });
  return nodes;
}

function codeBlock(piece) {
  const [, language, body] = /^(?:([\w+-]+)\n)?([\s\S]*)$/.exec(piece);
  return h("pre", { class: "code", data: language ? { language } : {} }, h("code", {}, body.replace(/^\n|\n$/g, "")));
}

function blocks(text) {
  const nodes = [];
  const lines = text.split("\n");
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) nodes.push(h("div", { class: "line" }, inline(paragraph.join("\n"))));
    paragraph = [];
  };
  for (let n = 0; n < lines.length; n++) {
    const line = lines[n];
    const heading = /^(#{1,3})\s+(.+)$/.exec(line);
    const small = /^-#\s+(.+)$/.exec(line);
    if (heading) {
      flush();
      nodes.push(h("div", { class: `heading h${heading[1].length}`, role: "heading", "aria-level": 3 }, inline(heading[2])));
    } else if (small) {
      flush();
      nodes.push(h("div", { class: "small" }, inline(small[1])));
    } else if (line.startsWith(">>> ") || line.startsWith("> ")) {
      flush();
      const [quoted, last] = quote(lines, n);
      nodes.push(h("blockquote", {}, blocks(quoted)));
      n = last;
    } else if (LIST.test(line)) {
      flush();
      const items = [];
      const isOrdered = /\d/.test(LIST.exec(line)[2]);
      while (n < lines.length && LIST.test(lines[n]) && /\d/.test(LIST.exec(lines[n])[2]) === isOrdered) items.push(LIST.exec(lines[n++]));
      n--;
      nodes.push(list(items));
    } else paragraph.push(line);
  }
  flush();
  return nodes;
}

function quote(lines, start) {
  if (lines[start].startsWith(">>> ")) return [[lines[start].slice(4), ...lines.slice(start + 1)].join("\n"), lines.length];
  let end = start;
  while (end < lines.length && /^> ?/.test(lines[end]) && lines[end].startsWith(">")) end++;
  return [lines.slice(start, end).map((line) => line.replace(/^> ?/, "")).join("\n"), end - 1];
}

function list(items) {
  const isOrdered = /\d/.test(items[0][2]);
  return h(isOrdered ? "ol" : "ul", { class: "list", start: isOrdered ? parseInt(items[0][2], 10) : null },
    items.map((item) => h("li", { class: item[1].length > 1 ? "deep" : null }, inline(item[3]))));
}
