// The load generator: made-up users in made-up servers, and charts of their share and their waits.
import { $, fill, h, icon, toast } from "./dom.js";
import { leading, missing, parseLine, paths } from "./options.js";
import { app, state } from "./state.js";

const COLOURS = ["#7c7ff7", "#2bb673", "#f0a132", "#e9568f", "#35b3d6", "#b07cf0", "#d8653f", "#8fae35"];
const colour = (index) => COLOURS[index % COLOURS.length];
let result, button, view;

export function buildLoad() {
  const number = (name, label, value, step, title) => h("label", { class: "load-field", title }, h("span", {}, label), h("input", { name, type: "number", value, min: step, step, required: true }));
  const line = h("input", { name: "line", type: "text", autocomplete: "off", required: true, placeholder: "/command with its options" });
  button = h("button", { class: "button primary", type: "submit" }, "Start");
  const form = h("form", { class: "load-form" },
    h("label", { class: "load-field wide", title: "{a|b} is one of the two each time" }, h("span", {}, "Command of every user"), line),
    number("num_guilds", "Servers", 3, 1, "How many servers"), number("num_members", "Users in each", 4, 1, "How many users in each server"),
    number("rate", "Requests a second", 1, 0.1, "All servers together"), number("greed", "First server ×", 5, 1, "How much more often the users of the first server send the command"),
    button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (view?.running) stop();
    else start(Object.fromEntries(new FormData(form)));
  });
  result = h("div", { class: "load-result" });
  $("#load").append(
    h("header", {}, h("h2", {}, "Load generator"), h("button", { class: "plain", type: "button", "aria-label": "Close load generator", onclick: app.toggleLoad }, icon("close"))),
    h("p", { class: "load-note" }, "Many users send the same command. How much does each server get, and how long does it wait?"), form, result);
}

export async function watchLoad() {
  const line = $("#load [name=line]");
  if (!line.value) line.value = example();
  draw((await app.line.ask("load")).view);
}

// The command that needs nothing but free text; of several, the one that can be told most: it is what the bot is for.
function example() {
  const known = paths(state.commands);
  const asked = ({ node }) => (node.options || []).filter((option) => option.required);
  const takesText = (option) => option.type === 3 && !option.autocomplete && !option.choices?.length;
  const texts = known.filter((each) => asked(each).length === 1 && asked(each).every(takesText));
  const best = texts.sort((one, other) => other.node.options.length - one.node.options.length)[0];
  if (best) return `/${best.path} a {red|blue|green} {circle|square|star}`;
  return known.length ? `/${(known.find((each) => !asked(each).length) || known[0]).path}` : "";
}

async function start(fields) {
  try {
    const found = leading(fields.line.trim(), paths(state.commands));
    if (!found) throw new Error("There is no such command here");
    const options = parseLine(found.node, found.rest);
    const lacking = missing(found.node, options);
    if (lacking) throw new Error(`${lacking.name} is required.`);
    const plan = { command: found.path, options };
    for (const name of ["num_guilds", "num_members", "rate", "greed"]) plan[name] = Number(fields[name]);
    draw((await app.line.ask("load", { plan })).view);
  } catch (error) {
    toast(error.message);
  }
}

const stop = () => app.line.ask("load", { stop: true }).then((answer) => draw(answer.view), (error) => toast(error.message));

export function draw(next) {
  view = next;
  button.textContent = view.running ? "Stop" : "Start";
  button.classList.toggle("danger", view.running);
  if (!view.guilds.length) return fill(result);
  return fill(result,
    chart(`Share of the pictures, last ${view.windowS} s`, shares(), "%"),
    chart("Waiting for their picture", waiting(), ""), table());
}

// Each second's shares, stacked to 100.
function shares() {
  const names = view.guilds.map((guild) => guild.name);
  const begun = view.points.findIndex(({ files }) => files.some(Boolean));
  const rows = (begun < 0 ? [] : view.points.slice(begun)).map(({ files }) => {
    const sum = files.reduce((a, b) => a + b, 0);
    return files.map((count) => (sum ? (100 * count) / sum : 0));
  });
  return { names, rows, top: 100, isStacked: true };
}

function waiting() {
  const rows = view.points.map((point) => point.waiting);
  return { names: view.guilds.map((guild) => guild.name), rows, top: Math.max(4, ...rows.flat()), isStacked: false };
}

const [WIDTH, HEIGHT] = [380, 110];

function chart(title, { names, rows, top, isStacked }, unit) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const last = rows.at(-1) || [];
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${names.map((name, n) => `${name} ${Math.round(last[n] || 0)}${unit}`).join(", ")}`);
  const x = (index) => (rows.length > 1 ? (index / (rows.length - 1)) * WIDTH : WIDTH);
  const y = (value) => HEIGHT - (value / top) * (HEIGHT - 4);
  const sum = rows.map(() => 0);
  names.forEach((name, n) => {
    const upper = rows.map((row, index) => [x(index), y((isStacked ? sum[index] : 0) + (row[n] || 0))]);
    const lower = isStacked ? rows.map((row, index) => [x(index), y(sum[index])]).reverse() : [];
    rows.forEach((row, index) => (sum[index] += row[n] || 0));
    const path = document.createElementNS(svg.namespaceURI, isStacked ? "polygon" : "polyline");
    path.setAttribute("points", [...upper, ...lower].map((point) => point.map((v) => v.toFixed(1)).join(",")).join(" "));
    path.setAttribute("style", isStacked ? `fill:${colour(n)}` : `fill:none;stroke:${colour(n)};stroke-width:2;vector-effect:non-scaling-stroke`);
    svg.append(path);
  });
  return h("figure", { class: "chart" }, h("figcaption", {}, title, h("small", {}, `to ${Math.round(top)}${unit}`)), svg);
}

const seconds = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} s`);
const ms = (value) => (value === null ? "–" : value < 1000 ? `${Math.round(value)} ms` : seconds(value / 1000));

function table() {
  const head = ["server", "asked", "waiting", "done", "refused", "wait", "ack"];
  const rows = view.guilds.map((guild, n) => h("tr", {},
    h("th", { scope: "row" }, h("i", { class: "swatch", style: `background:${colour(n)}` }), h("button", { class: "linkish", type: "button", onclick: () => app.open(guild.channel) }, guild.name)),
    [guild.asked, guild.waiting, guild.finished, guild.refused + guild.failed, seconds(guild.waitS), ms(guild.ackP99Ms)].map((value) => h("td", {}, value))));
  return h("table", { class: "load-table" }, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col", title: { wait: "Half waited less than this", ack: "99 of 100 were acknowledged within this" }[name] }, name)))), h("tbody", {}, rows));
}
