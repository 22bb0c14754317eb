// The message box: words, files, and slash commands.
import { $, h, icon, toast } from "./dom.js";
import { CommandEntry } from "./entry.js";
import { addNotice, dropNotice } from "./messages.js";
import { leading, missing, parseLine, paths } from "./options.js";
import { completing, Popover } from "./popover.js";
import { app, here, state, titleOf } from "./state.js";

let box, popover, frame, entry, files, chosenFiles, replyLine;

export function buildComposer() {
  const host = $("#composer");
  popover = new Popover(host);
  box = h("textarea", { id: "box", rows: 1, ...completing, "aria-label": "Message" });
  box.addEventListener("input", onInput);
  box.addEventListener("keydown", onKey);
  host.addEventListener("focusout", () => setTimeout(() => document.activeElement?.closest("#composer") || popover.hide(), 150));
  box.addEventListener("focus", onInput);
  const picker = h("input", { type: "file", multiple: true, class: "sr-only", tabIndex: -1, "aria-label": "Files" });
  picker.addEventListener("change", () => {
    addFiles(picker.files);
    picker.value = "";
  });
  const attach = h("button", { class: "plain attach", type: "button", "aria-label": "Attach files", title: "Attach files", onclick: () => picker.click() }, icon("plus"));
  const send = h("button", { class: "plain send", type: "button", "aria-label": "Send", title: "Send", onclick: () => (entry ? entry.send() : submit()) }, icon("send"));
  send.addEventListener("pointerdown", (event) => event.preventDefault());
  files = [];
  chosenFiles = h("div", { class: "chosen-files" });
  replyLine = h("div", { class: "reply-line", hidden: true });
  frame = h("div", { class: "frame" }, attach, box, send, picker);
  host.append(chosenFiles, replyLine, frame);
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, onDrop);
  box.addEventListener("paste", (event) => event.clipboardData.files.length && addFiles(event.clipboardData.files));
}

export function refreshComposer() {
  const place = here();
  if (!place) return;
  leave("");
  cancelReply();
  const { canSend } = place.channel;
  const name = titleOf(place.channel);
  box.disabled = !canSend;
  const narrow = matchMedia("(max-width: 600px)").matches;
  box.placeholder = canSend ? (narrow ? `Message ${name}` : `Message ${name}, or type / for commands`) : "You may not write in this channel";
  frame.classList.toggle("disabled", !canSend);
  grow();
}

export function startCommand(found) {
  if (!found) return;
  leave("");
  entry = new CommandEntry(found, popover, { onSend: use, onLeave: leave });
  box.hidden = true;
  frame.insertBefore(entry.element, box);
  entry.focus();
}

function leave(text) {
  popover?.hide();
  if (entry) {
    entry.element.remove();
    entry = null;
  }
  box.hidden = false;
  box.value = text;
  grow();
  if (document.activeElement === document.body || text) box.focus();
  onInput();
}

// As if "/" had been typed: the list of all commands.
export function typeSlash() {
  leave("/");
}

export const focusBox = () => (entry ? entry.focus() : box.focus());

function grow() {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, innerHeight * 0.4)}px`;
}

function onInput() {
  grow();
  const text = box.value;
  if (!text.startsWith("/") || text.includes("\n") || document.activeElement !== box) return popover.hide();
  const known = paths(state.commands);
  const found = leading(text, known);
  if (found?.isFollowed && !found.rest && text.endsWith(" ")) return startCommand(found);
  if (found?.rest) return popover.show({ title: `/${found.path}`, note: "Press Enter to use it like this", input: box });
  const typed = text.slice(1).toLowerCase();
  const fitting = known.filter(({ path }) => path.startsWith(typed)).concat(known.filter(({ path }) => !path.startsWith(typed) && path.includes(typed)));
  if (!fitting.length) return popover.show({ title: known.length ? "No command of that name here" : "This bot offers no commands here", input: box });
  const entries = fitting.map((item) => ({
    label: "/" + item.path,
    description: item.node.description,
    extra: (item.node.options || []).filter((option) => option.required).map((option) => option.name).join("  "),
    art: h("img", { src: app.bot().avatar, alt: "", width: 28, height: 28 }),
    act: () => startCommand(item),
  }));
  return popover.show({ title: `Commands of ${app.bot().name}`, entries, input: box });
}

function onKey(event) {
  if (event.isComposing || popover.key(event)) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (popover.isOpen && popover.active >= 0) popover.choose();
    else submit();
  } else if (event.key === "Tab" && popover.isOpen && popover.active >= 0) {
    event.preventDefault();
    popover.choose();
  } else if (event.key === "Escape") {
    if (popover.isOpen) popover.hide();
    else if (state.replyTo) cancelReply();
  }
}

async function submit() {
  const text = box.value.trim();
  if (text.startsWith("/")) return submitLine(text);
  if (!text && !files.length) return undefined;
  const reply = state.replyTo?.id;
  const held = files;
  box.value = "";
  files = [];
  drawFiles();
  cancelReply();
  popover.hide();
  grow();
  try {
    const keys = [];
    for (const file of held) keys.push(await app.line.upload(file));
    await app.line.ask("say", { content: withMentions(text), files: keys, reply });
  } catch (error) {
    toast(error.message);
    box.value = text;
    files = held;
    drawFiles();
  }
  return undefined;
}

// "/imagine a red circle" typed straight through.
function submitLine(text) {
  const found = leading(text, paths(state.commands));
  if (!found) return toast(state.commands.length ? "There is no such command here" : "The bot offers no commands here yet");
  try {
    const values = parseLine(found.node, found.rest);
    const lacking = missing(found.node, values);
    if (lacking) {
      startCommand(found);
      return toast(`${lacking.name} is required.`);
    }
    return use(found.path, values);
  } catch (error) {
    return toast(error.message);
  }
}

function withMentions(text) {
  const members = here()?.guild?.members || [state.world.bot];
  const sorted = [...members].sort((a, b) => b.name.length - a.name.length);
  return sorted.reduce((words, member) => words.replaceAll(`@${member.name}`, `<@${member.id}>`).replaceAll(`@${member.username}`, `<@${member.id}>`), text);
}

async function use(path, values) {
  leave("");
  box.focus();
  const notice = { kind: "sending", command: "/" + path, text: "Sending command…" };
  // A quick answer needs no notice: show it only when the bot takes a moment.
  const timer = setTimeout(() => addNotice(notice), 250);
  try {
    const outcome = await app.line.ask("slash", { command: path, options: values });
    if (outcome.failed) addNotice({ kind: "failed", command: "/" + path, text: "The application did not respond" });
    app.opened(outcome);
  } catch (error) {
    toast(error.message);
  } finally {
    clearTimeout(timer);
    dropNotice(notice);
  }
}

// -- replies and files ---------------------------------------------------------------------------------------

export function replyTo(message) {
  state.replyTo = message;
  const close = h("button", { class: "plain", type: "button", "aria-label": "Cancel reply", onclick: cancelReply }, icon("close"));
  replyLine.replaceChildren(h("span", {}, "Replying to ", h("b", {}, message.author.global_name || message.author.username)), close);
  replyLine.hidden = false;
  focusBox();
}

function cancelReply() {
  state.replyTo = null;
  if (replyLine) replyLine.hidden = true;
}

function addFiles(list) {
  const chip = entry?.chips.find((item) => item.option.type === 11);
  const option = entry?.rest.find((item) => item.type === 11);
  if (entry && (chip || option)) return (chip || entry.add(option)).take(list[0]);
  files.push(...list);
  return drawFiles();
}

function drawFiles() {
  chosenFiles.replaceChildren(...files.map((file, index) => {
    const drop = h("button", { class: "plain", type: "button", "aria-label": `Remove ${file.name}`, onclick: () => { files.splice(index, 1); drawFiles(); } }, icon("close"));
    const art = file.type.startsWith("image/") ? h("img", { src: URL.createObjectURL(file), alt: "", onerror: (event) => event.target.replaceWith(icon("file")) }) : icon("file");
    return h("div", { class: "chosen-file" }, art, h("span", {}, file.name), drop);
  }));
}

function onDrop(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  if (event.type === "drop") addFiles(event.dataTransfer.files);
}
