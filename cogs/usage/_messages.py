"""What people read about their use and their quotas. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import (
    bind_words,
    draw_bar,
    format_amount,
    format_pictures,
    format_small,
    format_standard_steps,
    join_dotted,
)
from cogs.common.messages import Block, Gallery, MessageSpec, Picture, Rule
from cogs.common.status_lines import format_boost, format_share
from cogs.i18n.gettext import N_, _, format_count, format_day, ngettext
from cogs.quota import WHAT_A_STEP_IS, format_day_start, format_quota
from cogs.usage import _chart as chart
from generation.policy.quota import Allowance, Unit, Usage
from generation.policy.usage import Day, MemberUsage, total
from generation.requests.cost import UNITS_PER_STEP

LEFT = N_("{number} left")
TODAY = N_("**Today** {used}")

MAX_MEMBERS = 15


# One's own.


def build_own(
    days: Sequence[Day],
    allowances: Sequence[Sequence[Allowance]],
    *,
    guild_id: int,
    timezone: str,
    boost: float,
    units_per_s: float | None,
) -> MessageSpec:
    """Return what a member asked for here, and what is left of what binds them."""
    best = [max(group, key=lambda each: each.left) for group in allowances]
    daily = [each.quota.limit for each in best if each.quota.window_hours is None and each.quota.unit is Unit.IMAGES]
    blocks: list[Block] = [
        _("### What you used here"),
        _format_summary(days),
        _build_chart(_("Your pictures a day"), days, daily),
    ]
    blocks.append(Rule())
    blocks.append(
        "\n".join(_format_allowance(each, guild_id) for each in best) if best else _("You have no quota here.")
    )
    notes = [_(WHAT_A_STEP_IS), format_day_start(timezone)]
    if units_per_s:
        steps_a_minute = format_count(round(60 * units_per_s / UNITS_PER_STEP))
        pace = _("The bot now does about {number} standard steps a minute.", number=steps_a_minute)
        notes.insert(1, pace)
    if boost != 1:
        notes.append(format_boost(boost))
    blocks.append("\n".join(format_small(note) for note in notes))
    return MessageSpec(blocks=tuple(blocks))


def _format_allowance(allowance: Allowance, guild_id: int) -> str:
    quota = allowance.quota
    used = allowance.usage.of(quota.unit)
    head = format_quota(quota, guild_id)
    number = _(LEFT, number=format_amount(allowance.left, quota.unit))
    left = f"{draw_bar(min(1.0, used / quota.limit) if quota.limit else 1.0)} {number}"
    if allowance.renews_at is None:
        return f"{head}\n{left}"
    renews = _("renews {when}", when=f"<t:{int(allowance.renews_at.timestamp())}:R>")
    return f"{head}\n{join_dotted((left, bind_words(renews)))}"


# The server's.


def build_server(
    days: Sequence[Day], members: Sequence[MemberUsage], *, timezone: str, weight: float, part: float
) -> MessageSpec:
    """Return what a whole server asked for, by day and by member; for those who manage it."""
    blocks: list[Block] = [
        _("### What this server used"),
        _format_summary(days),
        _build_chart(_("Pictures a day"), days, ()),
    ]
    lines = [_format_member(number, each) for number, each in enumerate(members[:MAX_MEMBERS], start=1)]
    blocks.append("\n".join(lines) if lines else _("There were no requests."))
    notes = [_("Members are listed by their use in these {number} days.", number=len(days)) + " " + _(WHAT_A_STEP_IS)]
    if len(members) > MAX_MEMBERS:
        rest = total(each.usage for each in members[MAX_MEMBERS:])
        others = ngettext(
            "and {number} more member: {used}",
            "and {number} more members: {used}",
            len(members) - MAX_MEMBERS,
            used=_format_sum(rest),
        )
        notes.insert(0, others)
    notes.append(f"{format_day_start(timezone)} {format_share(weight, part)}")
    blocks.append("\n".join(format_small(note) for note in notes))
    return MessageSpec(blocks=tuple(blocks))


def _format_member(number: int, each: MemberUsage) -> str:
    who = f"<@{each.user_id}>" if each.user_id is not None else _("erased members")
    return f"**{number}** {who} · {_format_sum(each.usage)}"


def _format_summary(days: Sequence[Day]) -> str:
    week = total(each.usage for each in days[-7:])
    today = _(TODAY, used=_format_sum(days[-1].usage))
    return today + "\n" + _("**Last 7 days** {used}", used=_format_sum(week))


def _format_sum(usage: Usage) -> str:
    return f"{format_pictures(usage.num_images)}, {format_standard_steps(usage.of(Unit.COST))}"


def _build_chart(title: str, days: Sequence[Day], limits: Sequence[int]) -> Gallery:
    values = [each.usage.num_images for each in days]
    labels = [str(each.date.day) for each in days]
    first, last = (format_day(each.date) for each in (days[0], days[-1]))
    listed = ", ".join(str(value) for value in values)
    alt = _("{title} from {first} to {last}: {numbers}.", title=title, first=first, last=last, numbers=listed)
    limit = min(limits, default=None)
    if limit is not None:
        alt += " " + _("The limit is {number} a day.", number=format_count(limit))
    shown = _("limit {number}", number=format_count(limit)) if limit is not None else ""
    data = chart.draw_days(title, values, labels, limit=limit, limit_label=shown)
    return Gallery((Picture("usage.png", data, alt),))
