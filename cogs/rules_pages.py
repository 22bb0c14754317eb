"""What managers read about their content rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.say import Block, Picture, Rule, Say, Tone
from cogs.words import escaped, plural, small
from generation.rules import rule as rules
from generation.rules.rulebook import Hit

MAX_LINES = 30
MAX_EXAMPLES = 5
MANY = 0.5
"""The part of recent prompts from which on a rule is probably a mistake."""
NONE = "There are no rules here. `/rules add` makes one, `/rules import` takes a list."


def listing(every: Sequence[rules.Rule], *, done: str | None = None) -> Say:
    """All rules of a guild, the newest at the end; a long list as a file."""
    blocks: list[Block] = ["### Content rules"]
    if done is not None:
        blocks += [done, Rule()]
    blocks.append("\n".join(line(each) for each in every[-MAX_LINES:]) or NONE)
    attached: tuple[Picture, ...] = ()
    if len(every) > MAX_LINES:
        text = "\n".join(f"{each.id}\t{each.action}\t{each.kind}\t{each.text}\t{each.reason}" for each in every)
        attached = (Picture("rules.txt", text.encode(), "All rules"),)
        blocks.append(small(f"The newest {MAX_LINES} of {len(every):,}; all of them are in the file."))
    return Say(blocks=tuple(blocks), attached=attached)


def line(rule: rules.Rule) -> str:
    """`3 · blocks “word” · in #channel · for @role · reason`."""
    verb = "blocks" if rule.action is rules.Action.BLOCK else "warns of"
    kind = "the pattern " if rule.kind is rules.Kind.PATTERN else ""
    parts = [f"**{rule.id}** · {verb} {kind}“{escaped(rule.text, limit=60)}”" if rule.id else f"{verb} {kind}"]
    if rule.channel_ids:
        parts.append("in " + ", ".join(f"<#{each}>" for each in rule.channel_ids[:5]))
    if rule.role_ids:
        parts.append("for " + ", ".join(f"<@&{each}>" for each in rule.role_ids[:5]))
    if rule.reason:
        parts.append(escaped(rule.reason, limit=60))
    return " · ".join(parts)


def added(rule: rules.Rule, caught: Sequence[tuple[str, str]], num_looked_at: int, *, is_new: bool) -> Say:
    """A rule that was added, and which of the last prompts it would have caught (prompt, what was found)."""
    blocks: list[Block] = ["### Rule added" if is_new else "### That rule was there already", line(rule)]
    blocks.append(_looking_back(caught, num_looked_at))
    is_much = rule.matches_everything or (num_looked_at >= 20 and len(caught) > MANY * num_looked_at)
    if is_much:
        blocks.append(
            f"**This rule matches nearly everything.** If that is not what you want: `/rules remove number:{rule.id}`."
        )
    return Say(blocks=tuple(blocks), tone=Tone.TROUBLE if is_much else Tone.DONE)


def tested(text: str, hits: Sequence[Hit]) -> Say:
    blocks: list[Block] = ["### Test", f"> {escaped(text)}"]
    if not hits:
        return Say(blocks=(*blocks, "No rule matches. It would be painted."), tone=Tone.DONE)
    blocks.append(
        "\n".join(f"{line(hit.rule)}\n{small(f'found as “{escaped(hit.found, limit=60)}”')}" for hit in hits[:10])
    )
    is_blocked = hits[0].rule.action is rules.Action.BLOCK
    blocks.append("It would be **refused**." if is_blocked else "It would be painted, with a warning.")
    return Say(blocks=tuple(blocks), tone=Tone.TROUBLE if is_blocked else Tone.WAITING)


def warned(hit: Sequence[rules.Rule]) -> str:
    """Told to the person whose prompt matched rules that only warn."""
    reasons = dict.fromkeys(rule.reason or "it holds something this server would rather not see" for rule in hit)
    return "A word about your prompt: " + "; ".join(escaped(reason) for reason in reasons) + "."


def imported(number: int, of: int) -> str:
    there = of - number
    return f"{plural(number, 'rule')} added" + (f", {there:,} were there already." if there else ".")


def _looking_back(caught: Sequence[tuple[str, str]], num_looked_at: int) -> str:
    if not num_looked_at:
        return small("Nothing was painted here yet, so there is nothing to try it on.")
    said = f"Of the last {plural(num_looked_at, 'prompt')} it would have caught **{len(caught):,}**."
    shown = [small(f"“{escaped(found, limit=40)}” in: {escaped(prompt, limit=80)}") for prompt, found in caught]
    return "\n".join([said, *shown[:MAX_EXAMPLES]])
