"""Bars by day, drawn by the server as SVG: the same without JavaScript, in both themes, and beside a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from db.stores.usage import UsageStore
from generation.policy.quota import Unit, Usage
from generation.policy.usage import DayOfAll, list_last_days
from generation.requests.cost import UNITS_PER_STEP

NUM_DAYS = 30
HEIGHT = 100
_WIDTH = 10
"""Of the place of a bar; the picture is stretched to the page."""
_GAP = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """In units of the drawing."""

    x: int
    y: float
    width: int
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a day had, by day. `top` is the value at its upper edge."""

    title: str
    note: str
    top: int
    bars: tuple[Bar, ...]
    first: date
    last: date

    @property
    def width(self) -> int:
        return len(self.bars) * _WIDTH

    @property
    def description(self) -> str:
        """What the picture shows, for those who do not see it. The table has the numbers."""
        return f"{self.title}, from {self.first:%d %B} to {self.last:%d %B %Y}: {self.note}."


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of some charts, the newest day first."""

    columns: tuple[str, ...]
    rows: tuple[tuple[date, tuple[int, ...]], ...]


def draw(title: str, note: str, days: Sequence[date], values: Sequence[int]) -> Chart:
    """Return bars for these values, one a day, oldest first."""
    top = round_up(max(values))
    heights = [HEIGHT * each / top for each in values]
    bars = tuple(
        Bar(number * _WIDTH, round(HEIGHT - height, 2), _WIDTH - _GAP, round(height, 2), f"{day:%d %b}: {value:,}")
        for number, (day, value, height) in enumerate(zip(days, values, heights, strict=True))
    )
    return Chart(title, note, top, bars, days[0], days[-1])


def round_up(value: int) -> int:
    """Return the next number with one digit that matters: 1, 2, 4, 5 or 10, and so on. It is even above 1."""
    if value <= 2:
        return max(value, 1)
    ten: int = 10 ** int(math.log10(value))
    return next(each for factor in (1, 2, 4, 5, 6, 8, 10, 20) if (each := factor * ten) >= value and each % 2 == 0)


def count_steps(usage: Usage) -> int:
    """Return its standard steps: what is charged, and what is reserved for what still waits."""
    return round(usage.of(Unit.COST) / UNITS_PER_STEP)


def describe_sum(values: Sequence[int]) -> str:
    return f"{sum(values):,} in {len(values)} days, {values[-1]:,} today"


def describe_peak(values: Sequence[int]) -> str:
    return f"at most {max(values):,} on a day, {values[-1]:,} today"


class DailyUsage:
    """What all servers asked for by day. Days that are over do not change: they are read once and kept."""

    def __init__(self, usage: UsageStore) -> None:
        self._usage = usage
        self._kept: dict[date, DayOfAll] = {}

    async def fetch(self, now: datetime) -> list[DayOfAll]:
        """Return the last days, UTC, oldest first. What was asked for yesterday may still be settled."""
        days = list_last_days(NUM_DAYS, now.astimezone(UTC), zone=ZoneInfo("UTC"))
        found = dict(self._kept)
        missing = [day for day in days if day not in found]
        found |= {each.date: each for each in await self._usage.fetch_days_of_all(missing)}
        self._kept = {day: found[day] for day in days[:-2]}
        return [found[day] for day in days]


def draw_all(found: Sequence[DayOfAll]) -> tuple[list[Chart], Table]:
    """Return the charts of the operator's page, and their numbers."""
    days = [each.date for each in found]
    pictures, steps = [each.usage.num_images for each in found], [count_steps(each.usage) for each in found]
    members, servers = [each.num_members for each in found], [each.num_guilds for each in found]
    charts = [
        draw("Pictures a day", describe_sum(pictures), days, pictures),
        draw("Standard steps a day", describe_sum(steps), days, steps),
        draw("Members a day", describe_peak(members), days, members),
        draw("Servers a day", describe_peak(servers), days, servers),
    ]
    return charts, build_table(
        days, {"Pictures": pictures, "Standard steps": steps, "Members": members, "Servers": servers}
    )


def build_table(days: Sequence[date], columns: dict[str, Sequence[int]]) -> Table:
    rows = zip(days, zip(*columns.values(), strict=True), strict=True)
    return Table(tuple(columns), tuple(reversed(list(rows))))
