"""Usage by calendar day, in the guild's own time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from generation.policy.quota import Usage


@dataclass(frozen=True, slots=True)
class Day:
    """One calendar day and what was asked for in it."""

    date: date
    usage: Usage


@dataclass(frozen=True, slots=True)
class MemberUsage:
    """What one member asked for. `user_id` is None for those who had themselves erased, taken together."""

    user_id: int | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class GuildUsage:
    """What one guild asked for; direct messages together are one (`generation.owner.DM_TENANT`)."""

    guild_id: int
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfAll:
    """One calendar day, and what all guilds together asked for in it."""

    date: date
    usage: Usage
    num_members: int = 0
    """Who asked for pictures; those who had themselves erased count."""
    num_guilds: int = 0


def list_last_days(number: int, now: datetime, *, zone: ZoneInfo) -> list[date]:
    """Return the last days, oldest first, today included."""
    today = now.astimezone(zone).date()
    return [today - timedelta(days=back) for back in reversed(range(number))]


def beginning(day: date, *, zone: ZoneInfo) -> datetime:
    """Return the day's midnight, in UTC."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def sum_by_day(windows: Iterable[tuple[datetime, Usage]], days: Iterable[date], *, zone: ZoneInfo) -> list[Day]:
    """Return the sums of quarter-hour windows (see `generation.policy.quota`) on each of `days`; skip other days."""
    sums = dict.fromkeys(days, Usage())
    for window, usage in windows:
        day = window.astimezone(zone).date()
        if day in sums:
            sums[day] = total([sums[day], usage])
    return [Day(day, usage) for day, usage in sums.items()]


def total(usages: Iterable[Usage]) -> Usage:
    every = list(usages)
    return Usage(
        num_images=sum(each.num_images for each in every),
        reserved=sum(each.reserved for each in every),
        used=sum(each.used for each in every),
    )
