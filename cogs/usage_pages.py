"""What people read about their use and their quotas. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs import chart
from cogs.say import Block, Gallery, Picture, Rule, Say, Tone
from cogs.words import bar, plural, small
from generation.cost import UNITS_PER_STEP
from generation.quota import Allowance, Quota, Scope, Unit, Usage, amount, unit_name
from generation.usage import Day, MemberUsage, total

MAX_MEMBERS = 15
NO_QUOTAS = "There are no quotas here. `/quota set` makes one."
WHAT_A_STEP_IS = "A standard step is one step of one 512 × 512 picture; larger pictures and more steps count for more."


# One's own.


def own(
    days: Sequence[Day],
    allowances: Sequence[Sequence[Allowance]],
    *,
    timezone: str,
    boost: float,
    units_per_s: float | None,
) -> Say:
    """What somebody asked for here, and what is left of what binds them."""
    best = [max(group, key=lambda each: each.left) for group in allowances]
    daily = [each.quota.limit for each in best if each.quota.window_hours is None and each.quota.unit is Unit.IMAGES]
    blocks: list[Block] = ["### What you used here", _summary(days), _chart("Your pictures a day", days, daily)]
    blocks.append(Rule())
    blocks.append("\n".join(_allowance(each) for each in best) if best else "No quota binds you here.")
    notes = [WHAT_A_STEP_IS, f"Days begin at midnight, {timezone}."]
    if units_per_s:
        steps_a_minute = 60 * units_per_s / UNITS_PER_STEP
        notes.insert(1, f"At its present pace the painter does about {steps_a_minute:,.0f} of them a minute.")
    if boost != 1:
        notes.append(f"One of your roles counts you {boost:g} times among the members here.")
    blocks.append("\n".join(small(note) for note in notes))
    return Say(blocks=tuple(blocks))


def _allowance(allowance: Allowance) -> str:
    quota = allowance.quota
    used = allowance.usage.of(quota.unit)
    head = f"**{_limit(quota)}** · {_whose(quota)}"
    left = f"{bar(min(1.0, used / quota.limit) if quota.limit else 1.0)} {amount(allowance.left, quota.unit)} left"
    renews = f" · renews <t:{int(allowance.renews_at.timestamp())}:R>" if allowance.renews_at else ""
    return f"{head}\n{left}{renews}"


# The server's.


def servers(days: Sequence[Day], members: Sequence[MemberUsage], *, timezone: str, weight: float, part: float) -> Say:
    """What a whole server asked for, by day and by member; for those who manage it."""
    blocks: list[Block] = ["### What this server used", _summary(days), _chart("Pictures a day", days, ())]
    lines = [_member(number, each) for number, each in enumerate(members[:MAX_MEMBERS], start=1)]
    blocks.append("\n".join(lines) if lines else "Nobody asked for anything.")
    notes = [f"By member over these {len(days)} days. {WHAT_A_STEP_IS}"]
    if len(members) > MAX_MEMBERS:
        rest = total(each.usage for each in members[MAX_MEMBERS:])
        notes.insert(0, f"and {plural(len(members) - MAX_MEMBERS, 'more member')}: {_sum(rest)}")
    notes.append(f"Days begin at midnight, {timezone}. This server has weight {weight:g}: {part:.0%} of the painter.")
    blocks.append("\n".join(small(note) for note in notes))
    return Say(blocks=tuple(blocks))


def _member(number: int, each: MemberUsage) -> str:
    who = f"<@{each.user_id}>" if each.user_id is not None else "erased members"
    return f"**{number}** {who} · {_sum(each.usage)}"


def _summary(days: Sequence[Day]) -> str:
    week = total(each.usage for each in days[-7:])
    return f"Today {_sum(days[-1].usage)}\nLast 7 days {_sum(week)}"


def _sum(usage: Usage) -> str:
    steps = amount(usage.of(Unit.COST), Unit.COST)
    return f"{plural(usage.num_images, 'picture')}, {steps} standard steps"


def _chart(title: str, days: Sequence[Day], limits: Sequence[int]) -> Gallery:
    values = [each.usage.num_images for each in days]
    labels = [f"{each.date.day}." for each in days]
    first, last = (f"{each.date.day} {each.date:%B}" for each in (days[0], days[-1]))
    alt = f"{title} from {first} to {last}: {', '.join(str(value) for value in values)}."
    if limits:
        alt += f" The limit is {min(limits)} a day."
    data = chart.days(title, values, labels, limit=min(limits, default=None))
    return Gallery((Picture("usage.png", data, alt),))


# Quotas.


def quotas(found: Sequence[Quota], *, timezone: str, done: str | None = None) -> Say:
    """All quotas of a server, after what was just done."""
    lines = [f"**{_limit(quota)}** · {_whose(quota)}" for quota in found]
    blocks: list[Block] = [f"{done}"] if done else []
    blocks += ["### Quotas of this server", "\n".join(lines) or NO_QUOTAS]
    notes = ["A member's own quota goes before those of roles; of several roles the most generous counts."]
    if any(quota.unit is Unit.COST for quota in found):
        notes.append(WHAT_A_STEP_IS)
    blocks.append("\n".join(small(note) for note in (*notes, f"Days begin at midnight, {timezone}.")))
    return Say(blocks=tuple(blocks), tone=Tone.DONE if done else Tone.PLAIN)


def set_line(quota: Quota) -> str:
    return f"Set: **{_limit(quota)}** · {_whose(quota)}."


def removed_line(quota: Quota) -> str:
    return f"Removed the quota of {unit_name(quota.unit)} for {_whose(quota)}."


def _limit(quota: Quota) -> str:
    window = "a day" if quota.window_hours is None else f"in {plural(quota.window_hours, 'hour')}"
    return f"{amount(quota.limit, quota.unit)} {unit_name(quota.unit, quota.limit)} {window}"


def _whose(quota: Quota) -> str:
    match quota.scope:
        case Scope.GUILD:
            return "the whole server together"
        case Scope.ROLE:
            return f"each member with <@&{quota.subject_id}>"
        case Scope.USER:
            return f"<@{quota.subject_id}> alone"
