// Under the glass: what goes over the wire.
import { $, h, icon } from "./dom.js";
import { app } from "./state.js";
import { buildFaults, showPending } from "./faults.js";

const MOST = 400;
let list, filter;
let isFollowed = true;

export function buildInspector() {
  const host = $("#inspector");
  filter = "all";
  list = h("ol", { class: "entries" });
  const choose = (name) => h("button", { class: "pop-add", type: "button", "aria-pressed": String(filter === name), onclick: (event) => {
    filter = name;
    for (const other of event.currentTarget.parentElement.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === event.currentTarget));
    host.dataset.filter = name;
  } }, name);
  host.append(
    h("header", {}, h("h2", {}, "Inspector"), h("button", { class: "plain", type: "button", "aria-label": "Close inspector", onclick: app.toggleInspector }, icon("close"))),
    h("details", { class: "faults" }, h("summary", {}, "Inject faults"), buildFaults()),
    h("div", { class: "pills filters", role: "group", "aria-label": "Show" }, h("span", { class: "pills-name", "aria-hidden": "true" }, "Show"), ["all", "rest", "gateway", "violations"].map(choose)),
    list);
  // A view of the end stays at the end when the switches open above it, but not while an entry is being read.
  new ResizeObserver(follow).observe(list);
  list.addEventListener("scroll", () => (isFollowed = list.scrollHeight - list.scrollTop - list.clientHeight < 60));
}

export async function inspect(isOn) {
  const answer = await app.line.ask("inspect", { on: isOn });
  if (isOn) {
    list.replaceChildren(...answer.entries.map(row));
    showPending(answer.pending);
    toEnd();
  }
}

const toEnd = () => (list.scrollTop = list.scrollHeight);
const follow = () => isFollowed && !list.querySelector("details[open]") && toEnd();

export function addEntry({ entry, pending }) {
  list.append(row(entry));
  while (list.children.length > MOST) list.firstChild.remove();
  follow();
  showPending(pending);
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
  const details = h("details", { class: `entry-line ${entry.kind} ${isBad ? "bad" : ""}` }, h("summary", {}, h("time", {}, when), head, entry.fault && h("span", { class: "fault", title: "Injected fault" }, entry.fault === String(entry.status) ? icon("bolt", "on request") : entry.fault)));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const json = (label, value) => value !== null && value !== undefined && h("div", {}, h("small", {}, label), h("pre", { class: "code", tabIndex: 0 }, JSON.stringify(value, null, 2)));
    details.append(...[isRest && entry.violations.map((text) => h("p", { class: "failed" }, text)), isRest ? [json("request", entry.request), json("response", entry.response), json("rate limit", entry.limit)] : json("data", entry.data)].flat(2).filter(Boolean));
    details.scrollIntoView({ block: "nearest" });
  });
  return h("li", {}, details);
}
