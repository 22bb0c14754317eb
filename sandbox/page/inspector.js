// Under the glass: what goes over the wire, and switches for trouble.
import { $, h, icon, toast } from "./dom.js";
import { app } from "./state.js";

const MOST = 400;
const TROUBLE = [
  ["rate_limit", "429 ×3", "Answer the next three requests with 429"],
  ["error", "503 ×3", "Answer the next three requests with 503"],
  ["drop", "Drop answer", "Do the next request, but hang up instead of answering"],
  ["gateway", "Close 4000", "Close the bot's websocket (4000); it may resume"],
  ["timed_out", "Close 4009", "Close it with 4009, session timed out: the bot must identify anew"],
  ["reconnect", "Reconnect", "Ask the bot to reconnect (op 7)"],
  ["invalidate", "End session", "Invalidate the bot's session (op 9)"],
  ["clock", "+15 min", "Jump past the life of an interaction's token"],
  ["mute", "Mute bot here", "Take, or give back, the bot's right to write in this channel"],
  ["delete_channel", "Delete channel", "Delete the channel you look at, as an administrator would"],
  ["kick", "Throw bot out", "Throw the bot out of this server, or invite it back"],
  ["lose_files", "Lose files", "Forget every file so far: their links answer 404"],
  ["clear", "Clear", "End the REST troubles"],
];
let list, filter;

export function buildInspector() {
  const host = $("#inspector");
  filter = "all";
  list = h("ol", { class: "entries" });
  const choose = (name) => h("button", { class: "pop-add", type: "button", "aria-pressed": String(filter === name), onclick: (event) => {
    filter = name;
    for (const other of event.currentTarget.parentElement.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
    host.dataset.filter = name;
  } }, name);
  const trouble = TROUBLE.map(([kind, label, title]) => h("button", { class: "pop-add", type: "button", title, onclick: () => app.line.ask("trouble", { kind }).then(() => toast(title), (error) => toast(error.message)) }, label));
  host.append(
    h("header", {}, h("h2", {}, "Inspector"), h("button", { class: "plain", type: "button", "aria-label": "Close inspector", onclick: app.toggleInspector }, icon("close"))),
    h("details", { class: "trouble" }, h("summary", {}, "Make trouble"), h("div", { class: "pills" }, trouble)),
    h("div", { class: "pills filters", role: "group", "aria-label": "Show" }, ["all", "rest", "gateway", "violations"].map(choose)),
    list);
}

export async function inspect(isOn) {
  const answer = await app.line.ask("inspect", { on: isOn });
  if (isOn) {
    list.replaceChildren(...answer.entries.map(row));
    list.scrollTop = list.scrollHeight;
  }
}

export function addEntry(entry) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.append(row(entry));
  while (list.children.length > MOST) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// Ids and tokens say little here; what is called says much.
const brief = (path) => path.replace(/\/(\d{15,}|[\w-]{40,})(?=\/|$)/g, "/…").replaceAll("/…/…", "/…");

function row(entry) {
  const isRest = entry.kind === "rest";
  const isBad = isRest && (entry.violations.length > 0);
  const when = new Date(entry.at * 1000).toLocaleTimeString([], { hour12: false });
  const head = isRest
    ? [h("b", { class: "verb" }, entry.method), h("span", { class: "path", title: entry.path }, brief(entry.path)), h("span", { class: `status s${String(entry.status)[0]}` }, entry.status), h("span", { class: "ms" }, `${entry.ms} ms`)]
    : [h("b", { class: "verb" }, entry.sent ? "⟵" : "⟶"), h("span", { class: "path" }, entry.name)];
  const details = h("details", { class: `entry-line ${entry.kind} ${isBad ? "bad" : ""}` }, h("summary", {}, h("time", {}, when), head, entry.fault && h("span", { class: "fault" }, entry.fault)));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const json = (label, value) => value !== null && value !== undefined && h("div", {}, h("small", {}, label), h("pre", { class: "code", tabIndex: 0 }, JSON.stringify(value, null, 2)));
    details.append(...[isRest && entry.violations.map((text) => h("p", { class: "failed" }, text)), isRest ? [json("request", entry.request), json("response", entry.response), json("rate limit", entry.limit)] : json("data", entry.data)].flat(2).filter(Boolean));
  });
  return h("li", {}, details);
}
