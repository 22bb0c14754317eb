// The page: joins the parts and keeps what the tab shows.
import { buildComposer, focusBox, refreshComposer, replyTo, startCommand, typeSlash } from "./composer.js";
import { buildLoad, draw as drawLoad, watchLoad } from "./load.js";
import { $, fill, h, icon, toast } from "./dom.js";
import { openModal } from "./forms.js";
import { addEntry, buildInspector, inspect } from "./inspector.js";
import { isAtBottom, remove, renderAll, show, toBottom, walk } from "./messages.js";
import { renderNavigation, signOf } from "./navigation.js";
import { paths } from "./options.js";
import { Line } from "./socket.js";
import { app, findChannel, here, person, state, titleOf } from "./state.js";
import { refreshFaults } from "./faults.js";

const root = document.documentElement;
const OFFERS = 5;
const wide = matchMedia("(min-width: 1000px)");
const visited = JSON.parse(sessionStorage.getItem("visited") || "{}");

Object.assign(app, {
  failed: new Map(),
  bot: () => state.world.bot,
  replyTo,
  open,
  act,
  opened: (outcome) => outcome.modal && openModal(outcome),
  lastIn: (guild) => (guild.channels.some((c) => c.id === visited[guild.id]) ? visited[guild.id] : guild.channels[0]?.id),
  type(path) {
    const found = paths(state.commands).find((item) => item.path === path);
    if (found) startCommand(found);
    else toast(`/${path} cannot be used here`);
  },
  async jump(channel, message) {
    await open(channel);
    const node = message && document.getElementById("m" + message);
    if (message && !node) return toast("That message no longer exists.");
    node?.scrollIntoView({ block: "center" });
    node?.classList.add("flash");
    return setTimeout(() => node?.classList.remove("flash"), 1800);
  },
  become(who) {
    const channel = state.channel;
    location.search = new URLSearchParams({ as: who.username, channel }).toString();
  },
  drawer(isOpen) {
    draw(isOpen);
    if (isOpen) $("#rail button")?.focus();
    else focusBox();
  },
  toggleTheme() {
    root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("theme", root.dataset.theme);
    renderNavigation();
  },
  toggleMembers() {
    root.classList.toggle("with-members", !$("#members").checkVisibility());
    // On a narrow page a panel has their place: they come back instead of it.
    const isCovered = root.classList.contains("with-members") && !$("#members").checkVisibility();
    if (isCovered && !$("#inspector").hidden) app.toggleInspector();
    else if (isCovered) app.toggleLoad();
    else renderNavigation();
  },
  async toggleLoad() {
    const panel = $("#load");
    leavePanel(panel, "Load generator");
    panel.hidden = !panel.hidden;
    if (!panel.hidden && !$("#inspector").hidden) app.toggleInspector();
    renderNavigation();
    if (!panel.hidden) await watchLoad().catch((error) => toast(error.message));
  },
  async toggleInspector() {
    const panel = $("#inspector");
    leavePanel(panel, "Inspector");
    panel.hidden = !panel.hidden;
    if (!panel.hidden) $("#load").hidden = true;
    renderNavigation();
    await inspect(!panel.hidden).catch((error) => toast(error.message));
  },
});

root.classList.toggle("with-members", wide.matches);
$("#veil").addEventListener("click", () => app.drawer(false));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (root.classList.contains("drawer")) app.drawer(false);
  else if (event.target.closest("#load")) app.toggleLoad();
  else if (event.target.closest("#inspector")) app.toggleInspector();
});
$("#scroll").addEventListener("keydown", walk);
buildComposer();
buildInspector();
buildLoad();
app.line = new Line(onPush, onState);

// While the drawer is open, the page under it is out of reach.
function draw(isOpen) {
  root.classList.toggle("drawer", isOpen);
  $("#veil").hidden = !isOpen;
  $("#main").inert = isOpen;
}

// A panel that closes with the focus in it gives it to the button that opens it.
function leavePanel(panel, name) {
  if (panel.contains(document.activeElement)) $(`#top [aria-label="${name}"]`)?.focus();
}

function onState(isOpen) {
  if (!isOpen) banner("The sandbox is not reachable. Trying again…", "lost");
  else if (state.channel) {
    const channel = state.channel;
    state.channel = null;
    open(channel);
  }
}

const PUSHES = {
  world: (push) => takeWorld(push.world),
  commands: (push) => takeCommands(push),
  message: (push) => push.channel === state.channel && (hush(push.message.author.id), show(push.message)),
  gone: (push) => push.channel === state.channel && remove(push.id),
  unread: (push) => {
    state.unread.add(push.channel);
    renderNavigation();
  },
  typing: (push) => push.channel === state.channel && someoneTypes(push.user),
  entry: addEntry,
  load: (push) => !$("#load").hidden && drawLoad(push.view),
};

function onPush(push) {
  PUSHES[push.push]?.(push);
}

function takeWorld(world) {
  const before = here();
  state.world = world;
  const wanted = state.channel || new URLSearchParams(location.search).get("channel");
  if (!findChannel(wanted)) {
    state.channel = null;
    const first = world.guilds[0]?.channels[0] || world.direct;
    open(first.id);
  } else if (!state.channel) open(wanted);
  renderNavigation();
  const now = here();
  if (before && now && (before.channel.canSend !== now.channel.canSend || before.channel.nsfw !== now.channel.nsfw)) refreshComposer();
  renderWelcome();
  refreshFaults();
  botBanner();
}

function takeCommands(push) {
  if (push.channel !== state.channel) return;
  state.commands = push.commands;
  renderWelcome();
}

function botBanner() {
  const { bot } = state.world;
  if (bot.connected) return banner("");
  const isNew = !state.commands.length;
  return banner(isNew ? "The bot is starting…" : "The bot is not connected. It returns when its process runs.", "waiting");
}

function banner(text, kind = "") {
  const node = $("#banner");
  node.hidden = !text;
  node.className = kind;
  node.replaceChildren(kind === "waiting" ? h("span", { class: "spinner", "aria-hidden": "true" }) : "", text);
}

async function open(id) {
  if (id === state.channel || !id) return app.drawer(false);
  state.channel = id;
  state.unread.delete(id);
  state.messages = new Map();
  state.notices = [];
  state.commands = [];
  state.typing.clear();
  const place = here();
  if (place?.guild) visited[place.guild.id] = id;
  sessionStorage.setItem("visited", JSON.stringify(visited));
  const query = new URLSearchParams(location.search);
  query.set("channel", id);
  history.replaceState(null, "", `?${query}`);
  try {
    const answer = await app.line.ask("open", { channel: id });
    if (state.channel !== id) return undefined;
    state.commands = answer.commands;
    state.messages = new Map(answer.messages.map((message) => [message.id, message]));
  } catch (error) {
    toast(error.message);
  }
  draw(false);
  renderNavigation();
  renderWelcome();
  renderAll();
  refreshComposer();
  refreshFaults();
  botBanner();
  drawTyping();
  if (wide.matches) focusBox();
  return undefined;
}

function renderWelcome() {
  const place = here();
  if (!place) return;
  const { channel, guild } = place;
  const known = paths(state.commands);
  const best = known.find(({ path }) => path === state.world.firstCommand) || known.find(({ node }) => (node.options || []).some((option) => option.required && option.type === 3)) || known[0];
  const sign = h("div", { class: `welcome-sign ${signOf(channel)}`, "aria-hidden": "true" }, channel.type === 1 ? h("img", { src: state.world.bot.avatar, alt: "" }) : icon(signOf(channel)));
  const ranked = best ? [best, ...known.filter((item) => item !== best)] : known;
  const offers = ranked.slice(0, OFFERS).map((item) => h("button", { class: `offer ${item === best ? "best" : ""}`, type: "button", title: item.node.description, onclick: () => channel.canSend && startCommand(item) }, h("b", {}, "/" + item.path), h("small", {}, item.node.description)));
  if (ranked.length > OFFERS) offers.push(h("button", { class: "offer", type: "button", onclick: typeSlash }, h("b", {}, "/ …"), h("small", {}, `All ${ranked.length} commands`)));
  const wasAtEnd = isAtBottom();
  const host = $("#welcome");
  host.classList.toggle("small-welcome", state.messages.size > 0);
  const tags = h("ul", { class: "tags", "aria-label": "Tags" }, (channel.tags || []).map((tag) => h("li", {}, tag)));
  const isForum = channel.type === 15 || channel.type === 16;
  const posts = isForum ? guild.channels.filter((other) => other.parent === channel.id).map((post) => h("button", { class: "offer", type: "button", onclick: () => app.open(post.id) }, h("b", {}, post.name), h("small", {}, post.tags.join(" · ")))) : [];
  fill(host, sign, h("h2", {}, guild ? `Welcome to ${titleOf(channel)}` : channel.name),
    h("p", {}, guild ? channel.topic || "This is the beginning of the channel." : channel.type === 3 ? "This is the beginning of a group. The bot is not in it." : "This is the beginning of your direct messages with the bot."),
    channel.tags?.length ? tags : null,
    isForum && (posts.length ? h("div", { class: "offers" }, posts) : h("p", { class: "hint" }, "There are no posts yet.")),
    isForum ? null : best && channel.canSend ? h("p", { class: "hint" }, "Type ", h("code", { class: "inline" }, `/${best.path} …`), " and press Enter. This bot offers:") : h("p", { class: "hint" }, state.world.bot.connected ? "No commands can be used here." : "Commands appear here once the bot has started."),
    channel.canSend && h("div", { class: "offers" }, offers));
  toBottom(wasAtEnd);
}

// -- typing ------------------------------------------------------------------------------------------------

function someoneTypes(user) {
  state.typing.set(user, Date.now() + 10000);
  drawTyping();
  setTimeout(drawTyping, 10050);
}

function hush(user) {
  state.typing.delete(user);
  drawTyping();
}

function drawTyping() {
  const now = Date.now();
  const names = [...state.typing].filter(([, until]) => until > now).map(([user]) => person(user)?.name || "Somebody");
  const words = names.length > 1 ? `${names.join(", ")} are typing…` : `${names[0]} is typing…`;
  $("#typing").replaceChildren(...(names.length ? [h("span", { class: "dots" }, h("i"), h("i"), h("i")), words] : []));
}

// -- buttons, selects and context menus ----------------------------------------------------------------------

async function act(message, customId, what, request) {
  const key = message && `${message.id}/${customId}`;
  const node = () => key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (message) app.failed.delete(message.id);
  const timer = setTimeout(() => node()?.classList.add("busy"), 150);
  try {
    const outcome = await app.line.ask(what, request);
    if (outcome.failed) fail(message, "This interaction failed");
    app.opened(outcome);
  } catch (error) {
    if (message) fail(message, error.message);
    else toast(error.message);
  } finally {
    clearTimeout(timer);
    node()?.classList.remove("busy");
  }
}

function fail(message, words) {
  if (!message) return toast(words);
  app.failed.set(message.id, words);
  const now = state.messages.get(message.id);
  return now && show(now);
}
