"""What operators read: whom the bot serves, what was used over all, which models there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cogs.say import Block, Say
from cogs.words import escaped, plural, small
from generation.admission import Admission, Standing
from generation.catalog import Model
from generation.job import DM_TENANT
from generation.quota import Unit, amount
from generation.usage import GuildUsage, total
from generation.vetting import is_harmless, is_vetted

MAX_LINES = 25
_JUDGED = {
    Standing.ALLOWED: "**{name}** ({id}) may use the bot.",
    Standing.DENIED: "**{name}** ({id}) is refused from now on; what it has stays, and what is in line is painted.",
}


def judged(guild_id: int, name: str, standing: Standing) -> str:
    return _JUDGED[standing].format(name=escaped(name, limit=60), id=guild_id)


def admission_line(admission: Admission) -> str:
    denied = sum(each is Standing.DENIED for each in admission.standings.values())
    if admission.is_listed_only:
        return f"Only servers that were allowed are served: {len(admission.standings) - denied:,} of them."
    return f"Every server is served but those that were denied: {denied:,} of them."


def announced(told: int, untold: int) -> str:
    rest = f" {plural(untold, 'server')} has no channel for it that I may write to." if untold == 1 else ""
    if untold > 1:
        rest = f" {untold:,} servers have no channel for it that I may write to."
    return f"Told {plural(told, 'server')}.{rest}"


def servers(names: Mapping[int, str], admission: Admission, weights: Mapping[int, float]) -> Say:
    """Every server the bot is in, and those there is a word about."""
    every = sorted(names.keys() | admission.standings.keys(), key=lambda each: (each not in names, names.get(each, "")))
    lines = [_server(each, names.get(each), admission, weights.get(each, 1.0)) for each in every[:MAX_LINES]]
    if len(every) > MAX_LINES:
        lines.append(small(f"and {len(every) - MAX_LINES:,} more"))
    return Say(blocks=("### Servers", "\n".join(lines) or "None yet.", small(admission_line(admission))))


def _server(guild_id: int, name: str | None, admission: Admission, weight: float) -> str:
    parts = [f"**{escaped(name, limit=60)}**" if name is not None else "not there", f"`{guild_id}`"]
    if guild_id in admission.standings:
        parts.append(admission.standings[guild_id].value)
    elif not admission.is_admitted(guild_id):
        parts.append("not served")
    if weight != 1:
        parts.append(f"weight {weight:g}")
    return " · ".join(parts)


def usage(used: Sequence[GuildUsage], names: Mapping[int, str], *, days: int, units_per_s: float | None) -> Say:
    """What each server used, most work first. `units_per_s`: the painter's pace of late, None before any is known."""
    lines = [
        f"**{number}** {_name(each.guild_id, names)} · {_used(each, units_per_s)}"
        for number, each in enumerate(used[:MAX_LINES], start=1)
    ]
    rest = used[MAX_LINES:]
    if rest:
        summed = GuildUsage(0, total(each.usage for each in rest))
        lines.append(f"and {plural(len(rest), 'more server')} · {_used(summed, units_per_s)}")
    how = (
        "GPU-seconds are reckoned from the work done and the painter's pace of late."
        if units_per_s
        else "GPU-seconds are told once something has been painted since the start."
    )
    blocks: list[Block] = [f"### Usage of {plural(days, 'day')}", "\n".join(lines) or "Nothing was asked for."]
    return Say(blocks=(*blocks, small(how)))


def _name(guild_id: int, names: Mapping[int, str]) -> str:
    if guild_id == DM_TENANT:
        return "direct messages"
    return escaped(names[guild_id], limit=60) if guild_id in names else f"`{guild_id}`, which removed me"


def _used(each: GuildUsage, units_per_s: float | None) -> str:
    steps = amount(each.usage.of(Unit.COST), Unit.COST)
    parts = [plural(each.usage.num_images, "picture"), f"{steps} standard steps"]
    if units_per_s:
        parts.append(f"{each.usage.used / units_per_s:,.0f} GPU-seconds")
    return ", ".join(parts)


def models(found: Sequence[Model], *, checks_safety: bool) -> Say:
    """What each model is; the first is the default."""
    lines = [
        " · ".join(
            [f"**{escaped(model.name, limit=60)}**", model.family, escaped(model.licence, limit=60), _hash(model)]
        )
        + f"\n{small(_checked(model, checks_safety=checks_safety))}"
        for model in found[:MAX_LINES]
    ]
    more = small("The first is the default. `bot.py models` adds and verifies them, from the shell.")
    return Say(blocks=("### Models", "\n".join(lines), more))


def _hash(model: Model) -> str:
    return f"`{model.sha256[:12]}`" if model.sha256 else "not pinned"


def _checked(model: Model, *, checks_safety: bool) -> str:
    if is_harmless(model):
        return "Cannot paint what a checker looks for."
    if is_vetted(model, checks_safety=checks_safety):
        return "Its own safety checker looks at every picture."
    return "Nothing checks its pictures: age-restricted channels only."
