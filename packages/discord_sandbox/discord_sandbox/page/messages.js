// The conversation: messages in groups, and what can be done with each.
import { $, h, icon, toast } from "./dom.js";
import { embed } from "./embeds.js";
import { markdown } from "./markdown.js";
import { attachments } from "./media.js";
import { openMenu } from "./menus.js";
import { components } from "./parts.js";
import { app, here, person, state } from "./state.js";

const GROUP_MS = 7 * 60 * 1000;
const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const V2 = 1 << 15;

export function renderAll() {
  const list = $("#messages");
  list.replaceChildren();
  let previous = null;
  for (const message of state.messages.values()) {
    list.append(...withDay(message, previous));
    previous = message;
  }
  for (const notice of state.notices) list.append(noticeNode(notice));
  toBottom(true);
}

function withDay(message, previous) {
  const day = new Date(message.timestamp).toDateString();
  const isNewDay = !previous || new Date(previous.timestamp).toDateString() !== day;
  const line = isNewDay && h("li", { class: "day" }, h("span", {}, new Date(message.timestamp).toLocaleDateString([], { dateStyle: "long" })));
  const node = draw(message, isNewDay ? null : previous);
  return line ? [line, node] : [node];
}

export function show(message) {
  const old = document.getElementById("m" + message.id);
  const isKnown = state.messages.has(message.id);
  const wasAtEnd = isAtBottom();
  const wasFocused = old?.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  state.messages.set(message.id, message);
  const all = [...state.messages.values()];
  const previous = all[all.indexOf(message) - 1] || null;
  if (isKnown && old) old.replaceWith(keepPictures(old, draw(message, old.classList.contains("first") ? null : previous)));
  else {
    const list = $("#messages");
    const notices = list.querySelector(".notice");
    for (const node of withDay(message, previous)) list.insertBefore(node, notices);
  }
  if (wasFocused) document.querySelector(`[data-key="${CSS.escape(wasFocused)}"]`)?.focus({ preventScroll: true });
  $("#welcome").classList.toggle("small-welcome", state.messages.size > 0);
  // What you caused yourself is shown, wherever you were reading.
  const { you } = state.world;
  const isYours = message.author.id === you.id || message.command?.user.id === you.id;
  toBottom(wasAtEnd || (isYours && !isKnown));
}

// A picture that stays through an edit is not loaded and painted again: no flicker.
function keepPictures(old, node) {
  const loaded = new Map([...old.querySelectorAll("img")].map((image) => [image.src, image]));
  for (const image of node.querySelectorAll("img")) {
    const kept = loaded.get(image.src);
    loaded.delete(image.src);
    if (!kept) continue;
    for (const name of ["width", "height", "alt", "class"]) {
      if (image.hasAttribute(name)) kept.setAttribute(name, image.getAttribute(name));
    }
    image.replaceWith(kept);
  }
  return node;
}

export function remove(id) {
  state.messages.delete(id);
  const node = document.getElementById("m" + id);
  const next = node?.nextElementSibling;
  const wasFirst = node?.classList.contains("first");
  if (node?.previousElementSibling?.classList.contains("day") && (!next || next.classList.contains("day"))) node.previousElementSibling.remove();
  node?.remove();
  if (wasFirst && next?.id.startsWith("m")) next.replaceWith(draw(state.messages.get(next.id.slice(1)), null));
}

function draw(message, previous) {
  const isFirst = !previous || message.type !== 0 || message.author.id !== previous.author.id || Date.parse(message.timestamp) - Date.parse(previous.timestamp) > GROUP_MS || (message.flags & EPHEMERAL) !== (previous.flags & EPHEMERAL) || Boolean(message.message_reference);
  const mentionsYou = message.mentions.some((user) => user.id === state.world.you.id) && message.author.id !== state.world.you.id;
  const classes = ["message", isFirst && "first", message.flags & EPHEMERAL && "ephemeral", mentionsYou && "mentions-you"];
  const node = h("li", { id: "m" + message.id, class: classes.filter(Boolean).join(" "), "aria-label": `${name(message)}, ${clock(message.timestamp)}`, tabIndex: -1 },
    isFirst && above(message),
    isFirst ? h("img", { class: "avatar", src: `/cdn/people/${message.author.id}.svg`, alt: "", width: 40, height: 40 }) : h("time", { class: "side-time", "aria-hidden": "true" }, clock(message.timestamp)),
    h("div", { class: "content" }, isFirst && heading(message), body(message), failures(message), message.flags & EPHEMERAL ? onlyYou(message) : null),
    tools(message));
  node.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, input")) return;
    event.preventDefault();
    menu(message, event);
  });
  return node;
}

const name = (message) => person(message.author.id)?.name || message.author.global_name || message.author.username;
const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function above(message) {
  if (message.command) {
    const user = message.command.user;
    return h("div", { class: "above" }, h("img", { src: user.avatar, alt: "", width: 16, height: 16 }), h("b", {}, person(user.id)?.name || user.name), " used ", h("span", { class: "mention" }, (message.command.isSlash ? "/" : "") + message.command.name));
  }
  const target = message.referenced_message;
  if (!message.message_reference) return null;
  if (!target) return h("div", { class: "above" }, icon("reply"), h("i", {}, "Original message was deleted"));
  const text = target.content || (target.embeds.length ? "embed" : "picture");
  const go = () => app.jump(target.channel_id, target.id);
  return h("button", { class: "above", type: "button", onclick: go }, icon("reply"), h("b", {}, person(target.author.id)?.name || target.author.username), h("span", { class: "above-text" }, text.slice(0, 120)));
}

function heading(message) {
  const who = person(message.author.id);
  return h("div", { class: "heading-line" }, h("span", { class: "author", style: who?.color ? `--who:${who.color}` : null }, name(message)),
    message.author.bot && h("span", { class: "badge" }, "APP"),
    h("time", { dateTime: message.timestamp, title: new Date(message.timestamp).toLocaleString() }, clock(message.timestamp)));
}

function body(message) {
  if (message.flags & LOADING) return h("div", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), `${name(message)} is thinking…`);
  const edited = message.edited_timestamp && h("span", { class: "edited", title: new Date(message.edited_timestamp).toLocaleString() }, " (edited)");
  const parts = [];
  if (message.content) parts.push(h("div", { class: "markdown" }, markdown(message.content), edited));
  const isV2 = Boolean(message.flags & V2);
  if (!isV2) parts.push(attachments(message.attachments));
  parts.push(message.embeds.map(embed));
  if (message.components.length) parts.push(h("div", { class: isV2 ? "v2" : "rows" }, components(message, message.components)));
  if (edited && !message.content) parts.push(h("div", { class: "edited-line" }, edited));
  if (message.reactions) parts.push(h("div", { class: "reactions" }, message.reactions.map((r) => h("span", { class: "reaction" }, r.emoji.name, " ", r.count))));
  return parts;
}

function failures(message) {
  const failed = app.failed.get(message.id);
  return failed && h("div", { class: "failed", role: "alert" }, failed);
}

function onlyYou(message) {
  const dismiss = () => app.line.ask("dismiss", { message: message.id }).catch((error) => toast(error.message));
  return h("div", { class: "only-you" }, icon("eye"), "Only you can see this  •  ", h("button", { class: "linkish", type: "button", onclick: dismiss }, "Dismiss message"));
}

function tools(message) {
  if (message.flags & LOADING) return null;
  const place = here();
  const isYours = message.author.id === state.world.you.id;
  const mayDelete = !(message.flags & EPHEMERAL) && (isYours || place?.channel.canManage);
  const tool = (sign, label, act) => h("button", { class: "tool", type: "button", title: label, "aria-label": label, onclick: act }, icon(sign));
  return h("div", { class: "tools" },
    !(message.flags & EPHEMERAL) && place?.channel.canSend && tool("reply", "Reply", () => app.replyTo(message)),
    mayDelete && tool("bin", "Delete message", () => app.line.ask("delete", { message: message.id }).catch((error) => toast(error.message))),
    tool("dots", "More", (event) => menu(message, event)));
}

function menu(message, event) {
  const apps = state.commands.filter((command) => command.type === 3);
  const use = (command) => app.act(message, null, "menu", { name: command.name, message: message.id });
  const plainText = message.content || message.embeds.map((e) => e.description || e.title).join("\n");
  openMenu(event, [
    ...(message.flags & EPHEMERAL ? [] : apps.map((command) => ({ label: command.label, hint: "Apps", act: () => use(command) }))),
    { label: "Copy text", icon: "copy", act: () => navigator.clipboard?.writeText(plainText) },
    { label: "Copy message ID", icon: "copy", act: () => navigator.clipboard?.writeText(message.id) },
  ]);
}

// -- local lines: what only this tab knows ---------------------------------------------------------------

export function addNotice(notice) {
  state.notices.push(notice);
  $("#messages").append(noticeNode(notice));
  toBottom(true);
}

export function dropNotice(notice) {
  state.notices = state.notices.filter((other) => other !== notice);
  notice.node?.remove();
}

function noticeNode(notice) {
  const isFailed = notice.kind === "failed";
  const close = h("button", { class: "linkish", type: "button", onclick: () => dropNotice(notice) }, "Dismiss message");
  notice.node = h("li", { class: `message first notice ${notice.kind}` },
    h("div", { class: "above" }, h("img", { src: state.world.you.avatar, alt: "", width: 16, height: 16 }), h("b", {}, state.world.you.name), " used ", h("span", { class: "mention" }, notice.command)),
    h("img", { class: "avatar", src: app.bot().avatar, alt: "", width: 40, height: 40 }),
    h("div", { class: "content", role: isFailed ? "alert" : "status" },
      h("div", { class: "heading-line" }, h("span", { class: "author" }, app.bot().name), h("span", { class: "badge" }, "APP")),
      isFailed ? h("div", { class: "failed" }, notice.text) : h("div", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), notice.text),
      isFailed && h("div", { class: "only-you" }, icon("eye"), "Only you can see this  •  ", close)));
  return notice.node;
}

// -- the keyboard ----------------------------------------------------------------------------------------

// From the list, arrows lead from message to message; Tab then goes to its buttons, Enter opens its menu.
export function walk(event) {
  const { key, target } = event;
  const all = [...$("#messages").querySelectorAll(".message[id]")];
  const at = all.indexOf(target);
  if (at < 0 && target.id !== "scroll") return;
  if (key === "Enter" && at >= 0) menu(state.messages.get(target.id.slice(1)), event);
  else {
    const goal = { ArrowUp: at < 0 ? all.length - 1 : Math.max(0, at - 1), ArrowDown: at < 0 ? -1 : at + 1, Home: 0, End: all.length - 1 }[key];
    if (!all[goal]) return;
    all[goal].focus();
    all[goal].scrollIntoView({ block: "nearest" });
  }
  event.preventDefault();
}

// -- scrolling -------------------------------------------------------------------------------------------

export function isAtBottom() {
  const scroll = $("#scroll");
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
}

export function toBottom(wanted) {
  const scroll = $("#scroll");
  if (wanted) scroll.scrollTop = scroll.scrollHeight;
}

// Pictures arrive after their message: stay at the end if we were there.
let lastHeight = 0;
new ResizeObserver(() => {
  const scroll = $("#scroll");
  const grown = scroll.scrollHeight - lastHeight;
  if (grown > 0 && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < grown + 130) scroll.scrollTop = scroll.scrollHeight;
  lastHeight = scroll.scrollHeight;
}).observe($("#messages"));
