// What the tab knows, and who to call when it changes.

export const state = {
  world: null,
  channel: null, // the open channel's id
  messages: new Map(),
  commands: [],
  notices: [], // local lines: "sending command", "the application did not respond"
  unread: new Set(),
  typing: new Map(),
  replyTo: null,
};

export const app = {}; // line, act, render functions: filled in by main.js

export function findChannel(id) {
  if (!state.world) return null;
  const alone = [state.world.direct, ...state.world.groups].find((item) => item.id === id);
  if (alone) return { channel: alone, guild: null };
  for (const guild of state.world.guilds) {
    const channel = guild.channels.find((item) => item.id === id);
    if (channel) return { channel, guild };
  }
  return null;
}

// What a channel is called in words: #general, @Bot, and a thread by its bare name.
export const titleOf = (channel) => (channel.type === 1 ? "@" : channel.parent || channel.type === 3 ? "" : "#") + channel.name;

export const here = () => (state.channel ? findChannel(state.channel) : null);

export function person(id) {
  const place = here();
  const member = place?.guild?.members.find((item) => item.id === id);
  if (member) return member;
  if (state.world?.bot.id === id) return state.world.bot;
  return state.world?.people.find((item) => item.id === id) || null;
}

export function role(id) {
  return here()?.guild?.roles.find((item) => item.id === id) || null;
}
