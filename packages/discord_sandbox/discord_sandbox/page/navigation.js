// Servers, channels, members, and who you are.
import { $, fill, h, icon } from "./dom.js";
import { openMenu } from "./menus.js";
import { app, here, state, titleOf } from "./state.js";

export function renderNavigation() {
  const refocus = keptFocus();
  renderRail();
  renderChannels();
  renderYou();
  renderMembers();
  renderTop();
  refocus();
}

// Everything is drawn again on every change; the focus stays on its button.
function keptFocus() {
  const host = document.activeElement?.closest("#rail, #channels, #you, #members, #top");
  if (!host) return () => undefined;
  const index = [...host.querySelectorAll("button")].indexOf(document.activeElement);
  return () => host.querySelectorAll("button")[index]?.focus({ preventScroll: true });
}

const initials = (name) => name.split(/\s+/).map((word) => word[0]).join("").slice(0, 3);

function renderRail() {
  const place = here();
  const { guilds, direct, groups, bot } = state.world;
  const unreadIn = (channels) => channels.some((channel) => state.unread.has(channel.id));
  const item = (label, face, isHere, isUnread, act) => h("button", { class: `server ${isHere ? "here" : ""} ${isUnread ? "unread" : ""}`, type: "button", title: label, "aria-label": label + (isUnread ? ", unread" : ""), "aria-current": isHere ? "true" : null, onclick: act }, h("span", { class: "pill", "aria-hidden": "true" }), face);
  const home = item("Direct messages", h("img", { src: bot.avatar, alt: "", width: 48, height: 48 }), place && !place.guild, unreadIn([direct, ...groups]), () => app.open(direct.id));
  const servers = guilds.map((guild) => item(guild.name, h("span", { class: "server-face" }, initials(guild.name)), place?.guild?.id === guild.id, unreadIn(guild.channels), () => app.open(app.lastIn(guild))));
  $("#rail").replaceChildren(home, h("hr"), ...servers);
}

function renderChannels() {
  const place = here();
  const guild = place?.guild;
  $("#place").replaceChildren(h("h2", {}, guild ? guild.name : "Direct messages"));
  const list = guild ? ordered(guild.channels) : [state.world.direct, ...state.world.groups];
  const head = h("h3", { class: "section-title" }, guild ? "Text channels" : "Your direct messages");
  $("#channels").replaceChildren(head, h("ul", {}, list.map((channel) => h("li", {}, channelLink(channel, place)))));
  renderWebPages();
}

// What the bot has beside Discord. They sign you in as who you are here.
function renderWebPages() {
  const { webPages, bot } = state.world;
  const link = ({ name, url }) => h("a", { class: "channel", href: url, target: "_blank", rel: "noopener" }, icon("open"), h("span", { class: "channel-name" }, name), h("span", { class: "sr-only" }, "(opens in a new tab)"));
  const list = h("ul", {}, webPages.map((page) => h("li", {}, link(page))));
  fill($("#web-pages"), webPages.length ? [h("h3", { class: "section-title" }, `Web pages of ${bot.name}`), list] : []);
}

function ordered(channels) {
  const threads = channels.filter((channel) => channel.parent);
  return channels.filter((channel) => !channel.parent).flatMap((channel) => [channel, ...threads.filter((thread) => thread.parent === channel.id)]);
}

export function signOf(channel) {
  if (channel.type === 1) return "at";
  if (channel.type === 3) return "people";
  if (channel.parent) return "thread";
  return channel.nsfw ? "adult" : channel.canSend ? "hash" : "lock";
}

function channelLink(channel, place) {
  const isHere = place?.channel.id === channel.id;
  const isUnread = state.unread.has(channel.id);
  const notes = [channel.parent && "thread", channel.nsfw && "age-restricted", !channel.canSend && "read-only", isUnread && "unread"].filter(Boolean);
  const face = channel.type === 1 ? h("img", { src: state.world.bot.avatar, alt: "", width: 28, height: 28 }) : icon(signOf(channel));
  return h("button", { class: `channel ${isHere ? "here" : ""} ${isUnread ? "unread" : ""} ${channel.parent ? "nested" : ""}`, type: "button", title: channel.topic || channel.name, "aria-current": isHere ? "page" : null, "aria-label": [channel.name, ...notes].join(", "), onclick: () => app.open(channel.id) },
    face, h("span", { class: "channel-name" }, channel.name), channel.nsfw && !channel.parent && h("span", { class: "tag" }, "18+"));
}

function renderYou() {
  const { you, people } = state.world;
  const opener = h("button", { class: "you", type: "button", "aria-haspopup": "menu", title: "Act as another user" },
    h("img", { src: you.avatar, alt: "", width: 34, height: 34 }),
    h("span", { class: "you-words" }, h("b", {}, you.name), h("small", {}, rankHere(you))), icon("chevron"));
  const entries = people.map((person) => ({ label: `${person.name}${person.id === you.id ? " (you)" : ""}`, below: person.about, face: person.avatar, act: () => app.become(person) }));
  const inTab = { label: "Open another user in a new tab…", icon: "open", act: () => openMenu({ currentTarget: opener, clientX: 90, clientY: innerHeight - 60 }, people.map((person) => ({ label: person.name, below: person.about, face: person.avatar, icon: "open", act: () => window.open(`/?as=${person.username}`, "_blank", "noopener") }))) };
  const { bot, hasApp } = state.world;
  const install = { label: hasApp ? `Remove ${bot.name} from your account` : `Add ${bot.name} to your account`, below: hasApp ? "its commands are with you everywhere" : "to use it in groups and in servers without it", face: bot.avatar, act: () => app.act(null, null, "install", { on: !hasApp }) };
  opener.addEventListener("click", (event) => openMenu(event, [...entries, inTab, install]));
  $("#you").replaceChildren(h("span", { class: "you-label" }, "You are"), opener);
}

function rankHere(you) {
  const member = here()?.guild?.members.find((item) => item.id === you.id);
  if (!member) return "@" + you.username;
  return member.owner ? "Server owner" : member.group || "Member";
}

function renderMembers() {
  const guild = here()?.guild;
  const host = $("#members");
  host.classList.toggle("absent", !guild);
  if (!guild) return host.replaceChildren();
  const groups = new Map();
  for (const member of guild.members) {
    const title = member.bot ? "Apps" : member.group || "Members";
    groups.set(title, [...(groups.get(title) || []), member]);
  }
  const order = (title) => (title === "Apps" ? 2 : title === "Members" ? 1 : 0);
  const sorted = [...groups].sort((a, b) => order(a[0]) - order(b[0]));
  return host.replaceChildren(...sorted.flatMap(([title, members]) => [
    h("h2", { class: "section-title" }, `${title} — ${members.length}`),
    h("ul", {}, members.map((member) => h("li", {}, memberButton(member)))),
  ]));
}

function memberButton(member) {
  const isOff = member.bot && !state.world.bot.connected;
  const button = h("button", { class: `member ${isOff ? "off" : ""}`, type: "button" },
    h("span", { class: "face" }, h("img", { src: member.avatar, alt: "", width: 32, height: 32 }), h("i", { class: "dot" })),
    h("span", { class: "member-name", style: member.color ? `--who:${member.color}` : null }, member.name, member.bot && !isOff && state.world.bot.presence && h("small", { class: "presence" }, state.world.bot.presence)),
    member.owner && h("span", { class: "crown", title: "Server owner" }, "♛"), member.bot && h("span", { class: "badge" }, "APP"));
  const menu = (event) => {
    event.preventDefault();
    const apps = state.commands.filter((command) => command.type === 2).map((command) => ({ label: command.label, hint: "Apps", act: () => app.act(null, null, "menu", { name: command.name, user: member.id }) }));
    const other = member.bot || member.id === state.world.you.id ? [] : [{ label: `Become ${member.name}`, act: () => app.become(member) }];
    openMenu(event, [...apps, ...other, { label: "Copy user ID", icon: "copy", act: () => navigator.clipboard?.writeText(member.id) }]);
  };
  button.addEventListener("click", menu);
  button.addEventListener("contextmenu", menu);
  return button;
}

function renderTop() {
  const place = here();
  if (!place) return;
  const { channel, guild } = place;
  const tool = (sign, label, isOn, act) => h("button", { class: `plain ${isOn ? "on" : ""}`, type: "button", title: label, "aria-label": label, "aria-pressed": String(Boolean(isOn)), onclick: act }, icon(sign));
  const root = document.documentElement;
  const isLight = root.dataset.theme === "light";
  const menu = h("button", { class: "plain drawer-button", type: "button", "aria-label": "Servers and channels", "aria-expanded": String(root.classList.contains("drawer")), onclick: () => app.drawer(true) }, icon("menu"));
  fill($("#top"), menu, icon(signOf(channel)), h("h1", {}, channel.name),
    channel.nsfw && h("span", { class: "tag" }, "Age-restricted"),
    channel.topic && h("span", { class: "topic" }, channel.topic),
    h("span", { class: "space" }),
    tool("chart", "Load generator", !$("#load").hidden, app.toggleLoad),
    tool("bolt", "Inspector", !$("#inspector").hidden, app.toggleInspector),
    tool(isLight ? "moon" : "sun", isLight ? "Dark theme" : "Light theme", false, app.toggleTheme),
    guild && tool("people", "Members", $("#members").checkVisibility(), app.toggleMembers));
  document.title = `${titleOf(channel)} · ${guild ? guild.name : "Direct messages"}`;
}
