"""What managers read about their content rules. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cogs.common.deleted_references import format_channel, format_role
from cogs.common.formatting import escape_markdown, format_small, join_dotted
from cogs.common.messages import Block, Lines, Long, MessageSpec, Picture, Rule, Tone
from cogs.i18n.gettext import N_, _, format_count, ngettext
from generation.rules import rule as rules
from generation.rules.rulebook import Hit

NO_MATCH = N_("No rule matches. This prompt is allowed.")
FOUND_AS = N_("found as “{text}”")
MATCHES_MUCH = N_("**This rule matches nearly everything.** To remove it: {command}.")
NOT_IN_FORCE = N_("**not in force**: this version of the bot cannot use it. Remove it, or write it in another way")
HOLDS_NOWHERE = N_("**has no effect any more**: use `/rules remove number:{number}` to remove it")
CAUGHT = N_("“{text}” in: {prompt}")
IN_CHANNELS = N_("in {channels}")
FOR_ROLES = N_("for {roles}")

KEY = "rules"
MAX_NAMED = 5
MAX_EXAMPLES = 5
MANY = 0.5
"""The part of recent prompts from which on a rule is probably a mistake."""
NONE = N_("There are no rules here. Use `/rules add` to add one, or `/rules import` to add a list.")
BLOCKS_WORD = N_("blocks “{text}”")
BLOCKS_PATTERN = N_("blocks the pattern “{text}”")
_DOES = {
    (rules.Action.BLOCK, rules.Kind.WORD): BLOCKS_WORD,
    (rules.Action.BLOCK, rules.Kind.PATTERN): BLOCKS_PATTERN,
    (rules.Action.WARN, rules.Kind.WORD): N_("warns about “{text}”"),
    (rules.Action.WARN, rules.Kind.PATTERN): N_("warns about the pattern “{text}”"),
}


def build_listing(
    every: Sequence[rules.Rule],
    *,
    done: str | None = None,
    problem: str | None = None,
    unusable: Collection[int] = (),
    gone: Collection[int] = (),
) -> MessageSpec:
    """All rules of a guild, the newest first.

    `problem`: why all of them together cannot be used; `unusable`: the ids of those that are left out alone; `gone`:
    the ids of channels and roles in them that were deleted.
    """
    blocks: list[Block] = [_("### Content rules")]
    if problem is not None:
        blocks += [_("**I cannot paint here** until a manager fixes this: {problem}", problem=problem), Rule()]
    if done is not None:
        blocks += [done, Rule()]
    lines = [format_rule(each, is_usable=each.id not in unusable, gone=gone) for each in reversed(every)]
    blocks.append(Lines(tuple(lines), KEY) if lines else _(NONE))
    return MessageSpec(blocks=tuple(blocks), tone=Tone.TROUBLE if problem else Tone.PLAIN)


def build_export(number: int, data: bytes) -> MessageSpec:
    """So many rules as a file."""
    if not number:
        return MessageSpec(blocks=(_(NONE),))
    attached = (Picture("rules.json", data, _("The rules")),)
    said = ngettext("{number} rule", "{number} rules", number)
    return MessageSpec(blocks=(_("### Rules as a file") + "\n" + said,), attached=attached)


def format_rule(rule: rules.Rule, *, is_usable: bool = True, gone: Collection[int] = ()) -> str:
    """`3 · blocks “word” · in #channel · for @role · reason`."""
    parts = [f"**{rule.id}**", _(_DOES[rule.action, rule.kind], text=escape_markdown(rule.text, limit=60))]
    if rule.channel_ids:
        parts.append(_(IN_CHANNELS, channels=_join_some([format_channel(each, gone) for each in rule.channel_ids])))
    if rule.role_ids:
        parts.append(_(FOR_ROLES, roles=_join_some([format_role(each, gone) for each in rule.role_ids])))
    if any(named and set(named) <= set(gone) for named in (rule.channel_ids, rule.role_ids)):
        parts.append(_(HOLDS_NOWHERE, number=rule.id))
    if rule.reason:
        parts.append(escape_markdown(rule.reason, limit=60))
    if not is_usable:
        parts.append(_(NOT_IN_FORCE))
    return join_dotted(parts)


def _join_some(names: Sequence[str]) -> str:
    return ", ".join((*names[:MAX_NAMED], *(["…"] if len(names) > MAX_NAMED else [])))


def build_added(
    rule: rules.Rule, caught: Sequence[tuple[str, str]], num_looked_at: int, *, is_new: bool
) -> MessageSpec:
    """Return a rule that was added, and which of the last prompts it would have caught (prompt, what was found)."""
    blocks: list[Block] = [_("### Rule added") if is_new else _("### This rule already exists"), format_rule(rule)]
    blocks.append(_format_looking_back(caught, num_looked_at))
    is_much = rule.matches_everything or (num_looked_at >= 20 and len(caught) > MANY * num_looked_at)
    if is_much:
        blocks.append(
            _(
                MATCHES_MUCH,
                command=f"`/rules remove number:{rule.id}`",
            )
        )
    return MessageSpec(blocks=tuple(blocks), tone=Tone.TROUBLE if is_much else Tone.DONE)


def build_test(text: str, hits: Sequence[Hit]) -> MessageSpec:
    blocks: list[Block] = [_("### Test"), f"> {escape_markdown(text)}"]
    if not hits:
        return MessageSpec(blocks=(*blocks, _(NO_MATCH)), tone=Tone.DONE)
    found = [format_small(_(FOUND_AS, text=escape_markdown(hit.found, limit=60))) for hit in hits]
    every = "\n".join(f"{format_rule(hit.rule)}\n{how}" for hit, how in zip(hits, found, strict=True))
    blocks.append(Long(every, "matches.txt", _("All matches")))
    is_blocked = hits[0].rule.action is rules.Action.BLOCK
    blocks.append(_("This prompt is **refused**.") if is_blocked else _("This prompt is allowed, with a warning."))
    return MessageSpec(blocks=tuple(blocks), tone=Tone.TROUBLE if is_blocked else Tone.WAITING)


def format_imported(number: int, of: int) -> str:
    there = of - number
    if not there:
        return ngettext("{number} rule added.", "{number} rules added.", number)
    return ngettext(
        "{number} rule added. Already there: {there}.",
        "{number} rules added. Already there: {there}.",
        number,
        there=format_count(there),
    )


def _format_looking_back(caught: Sequence[tuple[str, str]], num_looked_at: int) -> str:
    if not num_looked_at:
        return format_small(_("There are no earlier prompts here to test it on."))
    said = ngettext(
        "It matches **{caught}** of the one prompt so far.",
        "It matches **{caught}** of the last {number} prompts.",
        num_looked_at,
        caught=format_count(len(caught)),
    )
    shown = [
        format_small(_(CAUGHT, text=escape_markdown(found, limit=40), prompt=escape_markdown(prompt, limit=80)))
        for prompt, found in caught
    ]
    return "\n".join([said, *shown[:MAX_EXAMPLES]])
