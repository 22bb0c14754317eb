"""Quotas as values, and the arithmetic of what is left. Pure: what was used is looked up elsewhere.

Use is counted in *windows* of a quarter of an hour, UTC: every time zone's midnight falls between two of them, so one
set of sums serves calendar days anywhere and sliding hours alike. An image counts in the window it was asked for in,
whenever it ends, so that a refund gives back exactly what the reservation took.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from generation.errors import QuotaExceededError
from generation.policy.errors import NegativeQuotaError, QuotaWindowError
from generation.requests.cost import UNITS_PER_STEP
from generation.translatable import Phrase

TOO_MUCH = Phrase("That is more than the whole quota: ask for less.")
WINDOW = timedelta(minutes=15)
MAX_WINDOW_HOURS = 31 * 24


class Scope(StrEnum):
    """Whose use a quota counts: the guild's as a whole, or each member's that has a role, or one member's."""

    GUILD = "guild"
    ROLE = "role"
    USER = "user"


class Unit(StrEnum):
    IMAGES = "images"
    COST = "cost"  # units of `generation.requests.cost`


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most `limit` units in a calendar day of the guild's time zone, or in the last `window_hours`.

    `subject_id` is 0 for the guild, else a role or user id; the role whose id is the guild's is everyone.
    """

    scope: Scope
    subject_id: int = 0
    unit: Unit
    limit: int
    window_hours: int | None = None

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise NegativeQuotaError
        if self.window_hours is not None and not 1 <= self.window_hours <= MAX_WINDOW_HOURS:
            raise QuotaWindowError(most=MAX_WINDOW_HOURS)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked for over some windows: images that count, cost units still reserved, cost units charged."""

    num_images: int = 0
    reserved: int = 0
    used: int = 0

    def of(self, unit: Unit) -> int:
        return self.num_images if unit is Unit.IMAGES else self.reserved + self.used


@dataclass(frozen=True, slots=True)
class Allowance:
    """A quota and what of it is used. `renews_at`: when some of that comes free; None if nothing is used."""

    quota: Quota
    usage: Usage
    renews_at: datetime | None = None

    @property
    def left(self) -> int:
        return max(0, self.quota.limit - self.usage.of(self.quota.unit))


def find_window(moment: datetime) -> datetime:
    """Return the start of the window that `moment` lies in, UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def find_first_window(quota: Quota, now: datetime, *, zone: ZoneInfo) -> datetime:
    """Return the oldest window that counts against `quota`.

    A sliding window counts its oldest, partly covered quarter of an hour in full: it never lets through more.
    """
    if quota.window_hours is not None:
        return find_window(now - timedelta(hours=quota.window_hours))
    midnight = datetime.combine(now.astimezone(zone).date(), time.min, tzinfo=zone)
    return find_window(midnight)


def renewal(quota: Quota, now: datetime, *, zone: ZoneInfo, oldest: datetime | None) -> datetime | None:
    """Return when used quota comes free: at midnight, or as the `oldest` used window leaves the sliding one."""
    if quota.window_hours is None:
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time.min, tzinfo=zone).astimezone(UTC)
    return None if oldest is None else oldest + timedelta(hours=quota.window_hours) + WINDOW


def amount(units: int, unit: Unit, *, round_up: bool = False) -> int | float:
    """Return an amount of a unit, for people: a number of pictures, or of standard steps to a tenth."""
    if unit is Unit.IMAGES:
        return units
    tenths = 10 * units / UNITS_PER_STEP
    return (math.ceil(tenths) if round_up else math.floor(tenths)) / 10


def unit_name(unit: Unit, number: int = 2) -> Phrase:
    if unit is Unit.IMAGES:
        return Phrase("picture") if number == 1 else Phrase("pictures")
    return Phrase("standard step") if number == UNITS_PER_STEP else Phrase("standard steps")


def group_quotas(
    quotas: Iterable[Quota], *, guild_id: int, user_id: int, role_ids: Collection[int]
) -> list[tuple[Quota, ...]]:
    """Return the quotas that bind one member, as groups of alternatives: in every group, one quota must have room.

    The guild's quotas bind everyone. Of a unit, a member's own quota goes before roles; among roles the most generous
    counts.
    """
    every = list(quotas)
    groups: list[tuple[Quota, ...]] = [(quota,) for quota in every if quota.scope is Scope.GUILD]
    roles = {*role_ids, guild_id}
    for unit in Unit:
        of_unit = [quota for quota in every if quota.unit is unit]
        own = tuple(quota for quota in of_unit if quota.scope is Scope.USER and quota.subject_id == user_id)
        by_role = tuple(quota for quota in of_unit if quota.scope is Scope.ROLE and quota.subject_id in roles)
        if own or by_role:
            groups.append(own or by_role)
    return groups


def require_room(group: Collection[Allowance], needed: Mapping[Unit, int], *, timezone: str) -> None:
    """Raise `QuotaExceededError` unless one of the alternatives has room for `needed`."""
    best = max(group, key=lambda allowance: allowance.left)
    quota = best.quota
    if best.left >= needed[quota.unit]:
        return
    is_day = quota.window_hours is None
    raise QuotaExceededError(
        limit=amount(quota.limit, quota.unit),
        unit=unit_name(quota.unit, quota.limit),
        window=Phrase("a day") if is_day else Phrase("in {number} hours", number=quota.window_hours),
        left=amount(best.left, quota.unit),
        needed=amount(needed[quota.unit], quota.unit, round_up=True),
        renewal=_find_renewal(best, needed[quota.unit], timezone),
    )


def _find_renewal(allowance: Allowance, needed: int, timezone: str) -> Phrase:
    if needed > allowance.quota.limit:
        return TOO_MUCH
    if allowance.quota.window_hours is None:
        return Phrase("It renews at midnight ({timezone}).", timezone=timezone)
    assert allowance.renews_at is not None, "what is used up has been used by something"
    local = allowance.renews_at.astimezone(ZoneInfo(timezone))
    return Phrase(
        "Some of it comes free on {when} ({timezone}), and more as older pictures age.", when=local, timezone=timezone
    )
