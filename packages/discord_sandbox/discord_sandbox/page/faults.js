// Switches that inject faults: answers, the connection, the open channel, time and files.
import { h, toast } from "./dom.js";
import { app, here } from "./state.js";

const SWITCHES = {
  Answers: [
    ["rate_limit", "429 ×3", "Answer the next three requests with 429"],
    ["error", "503 ×3", "Answer the next three requests with 503"],
    ["drop", "Drop answer", "Perform the next request, but close the connection instead of answering"],
    ["clear", "Clear", "End these faults"],
  ],
  Connection: [
    ["close_4000", "Close 4000", "Close the bot's websocket (4000); it may resume"],
    ["close_4009", "Close 4009", "Close it with 4009, session timed out: the bot must identify again"],
    ["reconnect", "Reconnect", "Ask the bot to reconnect (op 7)"],
    ["invalidate", "End session", "Invalidate the bot's session (op 9)"],
  ],
  "This channel": [
    ["mute", "Mute bot here", "Deny the bot the permission to write in this channel and its threads"],
    ["delete_channel", "Delete channel", "Delete the channel you look at, as an administrator would"],
    ["kick", "Remove bot", "Remove the bot from this server"],
  ],
  "Time, files": [
    ["clock", "+15 min", "Move the clock past the lifetime of an interaction's token"],
    ["lose_files", "Lose files", "Forget every file so far: their links answer 404"],
  ],
};
const buttons = {};

export function buildFaults() {
  const pill = ([kind, label, title]) => (buttons[kind] = h("button", { class: "pop-add", type: "button", title, onclick: () => press(kind) }, label));
  return Object.entries(SWITCHES).map(([name, switches]) => h("div", { class: "pills", role: "group", "aria-label": name }, h("span", { class: "pills-name", "aria-hidden": "true" }, name), switches.map(pill)));
}

async function press(kind) {
  try {
    const { done, pending } = await app.line.ask("fault", { kind });
    showPending(pending);
    toast(done);
  } catch (error) {
    toast(error.message);
  }
}

// What still waits for its requests is lit, and says for how many.
export function showPending(pending) {
  for (const [kind, label] of SWITCHES.Answers) {
    const left = pending[kind] || 0;
    buttons[kind].textContent = left ? `${label.replace(" ×3", "")} · ${left} left` : label;
    buttons[kind].classList.toggle("lit", left > 0);
  }
  buttons.clear.disabled = !Object.keys(pending).length;
}

// Two switches turn back what they did.
export function refreshFaults() {
  const place = here();
  const isOut = place?.guild && !place.guild.hasBot;
  buttons.mute.textContent = isOut || place?.channel.botCanSend !== false ? "Mute bot here" : "Let bot write here";
  buttons.kick.textContent = isOut ? "Invite bot back" : "Remove bot";
  for (const kind of ["mute", "delete_channel", "kick"]) buttons[kind].disabled = !place?.guild;
  buttons.mute.disabled ||= Boolean(isOut);
}
