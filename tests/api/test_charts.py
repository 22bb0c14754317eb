"""Charts by day: their scale, their words, and that days which are over are read once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from api.web.charts import HEIGHT, NUM_DAYS, DailyUsage, draw, draw_all, round_up
from generation.policy.quota import Usage
from generation.policy.usage import DayOfAll
from generation.requests.cost import UNITS_PER_STEP

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Counted:
    """Stands for the store: each day has what it was asked for how often."""

    def __init__(self) -> None:
        self.asked: list[list[date]] = []

    async def fetch_days_of_all(self, days: Sequence[date]) -> list[DayOfAll]:
        self.asked.append(list(days))
        return [DayOfAll(date=each, usage=Usage(3, UNITS_PER_STEP, UNITS_PER_STEP), num_members=2) for each in days]


async def test_days_that_are_over_are_read_once() -> None:
    store = Counted()
    daily = DailyUsage(cast(Any, store))
    assert len(await daily.fetch(NOW)) == NUM_DAYS
    for later in (NOW, NOW + timedelta(days=1)):
        found = await daily.fetch(later)
        assert [each.date for each in found] == [later.date() - timedelta(days=back) for back in reversed(range(30))]
    first, again, tomorrow = store.asked
    assert len(first) == NUM_DAYS
    assert again == [date(2026, 2, 28), date(2026, 3, 1)], "yesterday may still be settled"
    assert tomorrow == [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]


def test_the_scale_ends_at_a_round_number_that_halves() -> None:
    for value in range(1, 5000):
        top = round_up(value)
        assert value <= top <= max(2 * value, 2) and (top % 2 == 0 or top == 1)
        assert len(str(top).rstrip("0")) <= 1
    assert round_up(0) == 1


def test_a_chart_says_what_it_shows() -> None:
    days = [date(2026, 2, 27) + timedelta(days=number) for number in range(3)]
    chart = draw("Pictures a day", "30 in 3 days", days, [0, 10, 20])
    assert [(each.y, each.height) for each in chart.bars] == [(HEIGHT, 0), (50, 50), (0, HEIGHT)]
    assert chart.bars[2].label == "01 Mar: 20" and chart.top == 20
    assert chart.description == "Pictures a day, from 27 February to 01 March 2026: 30 in 3 days."
    charts, table = draw_all(
        [DayOfAll(date=each, usage=Usage(3, 0, 2 * UNITS_PER_STEP), num_members=2) for each in days]
    )
    assert [each.title.split(" a day")[0] for each in charts] == list(table.columns)
    assert table.rows[0] == (days[-1], (3, 2, 2, 0))
    assert charts[2].note == "at most 2 on a day, 2 today"
