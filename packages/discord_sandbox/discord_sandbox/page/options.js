// Slash options: their paths, their types, and reading what a person typed.
import { here, state } from "./state.js";

export const TYPE_WORDS = { 3: "text", 4: "whole number", 5: "true or false", 6: "member", 7: "channel", 8: "role", 9: "member or role", 10: "number", 11: "file" };

// Every command that can be typed: { path, node, command }.
export function paths(commands) {
  const found = [];
  const walk = (command, node, path) => {
    const children = (node.options || []).filter((option) => option.type < 3);
    if (!children.length) found.push({ path, node, command });
    for (const child of children) walk(command, child, `${path} ${child.name}`);
  };
  for (const command of commands) if (command.type === 1) walk(command, command, command.name);
  return found.sort((a, b) => a.path.localeCompare(b.path));
}

// The longest command that the text begins with, and what follows it.
export function leading(text, known) {
  const body = text.slice(1);
  const fitting = known.filter(({ path }) => body === path || body.startsWith(path + " "));
  const best = fitting.sort((a, b) => b.path.length - a.path.length)[0];
  return best && { ...best, rest: body.slice(best.path.length).trim(), isFollowed: body.length > best.path.length };
}

export function listFor(option) {
  if (option.choices?.length) return option.choices.map((choice) => ({ label: choice.name, value: choice.value }));
  const guild = here()?.guild;
  if (option.type === 5) return [{ label: "True", value: true }, { label: "False", value: false }];
  const people = (guild?.members || [state.world.you, state.world.bot]).map((m) => ({ label: m.name, description: m.username, value: { user: m.id }, avatar: m.avatar }));
  const roles = (guild?.roles || []).map((r) => ({ label: "@" + r.name.replace(/^@/, ""), value: { role: r.id } }));
  const channels = (guild?.channels || []).filter((c) => !option.channel_types?.length || option.channel_types.includes(c.type)).map((c) => ({ label: "#" + c.name, value: { channel: c.id } }));
  return { 6: people, 7: channels, 8: roles, 9: [...people, ...roles] }[option.type] || null;
}

// Text to a value of the option's type. Throws with words for the person.
export function parse(option, text) {
  const list = listFor(option);
  if (list) {
    const wanted = text.trim().toLowerCase().replace(/^[@#]/, "");
    const found = list.find((item) => item.label.toLowerCase().replace(/^[@#]/, "") === wanted || String(item.value).toLowerCase() === wanted || item.description === wanted);
    if (!found) throw new Error(`${option.name}: choose one from the list`);
    return found.value;
  }
  if (option.type === 4 || option.type === 10) {
    const number = Number(text);
    if (!text.trim() || Number.isNaN(number) || (option.type === 4 && !Number.isInteger(number))) throw new Error(`${option.name} must be a ${TYPE_WORDS[option.type]}`);
    return number;
  }
  if (option.type === 11) throw new Error(`${option.name}: choose a file`);
  return text;
}

// "/imagine a red circle count:2": loose words go to the first required text, `name:` starts an option.
export function parseLine(node, rest) {
  const options = node.options || [];
  const values = {};
  if (!rest) return values;
  const names = options.map((option) => option.name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const marks = names ? [...rest.matchAll(new RegExp(`(?:^|\\s)(${names}):\\s*`, "g"))] : [];
  const loose = (marks.length ? rest.slice(0, marks[0].index) : rest).trim();
  if (loose) {
    const target = options.find((option) => option.type === 3 && option.required) || options.find((option) => option.type === 3) || options[0];
    if (!target) throw new Error("This command takes no options");
    values[target.name] = parse(target, loose);
  }
  marks.forEach((mark, index) => {
    const end = marks[index + 1]?.index ?? rest.length;
    const option = options.find((item) => item.name === mark[1]);
    values[option.name] = parse(option, rest.slice(mark.index + mark[0].length, end).trim());
  });
  return values;
}

export function missing(node, values) {
  return (node.options || []).find((option) => option.required && (values[option.name] === undefined || values[option.name] === ""));
}

export function limits(option) {
  const unit = option.type === 3 ? "length" : "value";
  const low = option[`min_${unit}`];
  const high = option[`max_${unit}`];
  const span = low !== undefined && high !== undefined ? `${low} to ${high}` : low !== undefined ? `at least ${low}` : high !== undefined ? `at most ${high}` : "";
  return span && (option.type === 3 ? `${span} characters` : span);
}
