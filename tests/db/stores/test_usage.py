"""What all guilds asked for by day, compared with sums made by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import insert

from db.engine import Database
from db.stores.members import GUILD_ACCOUNT
from db.stores.usage import UsageStore, _balances
from generation.policy.quota import Usage
from generation.policy.usage import DayOfAll
from tests.db.kinds import on_both_long
from tests.db.stores.test_query_plans import plan

DAYS = [date(2026, 2, 26) + timedelta(days=number) for number in range(5)]


def a_row(random: Random) -> dict[str, int | datetime]:
    start = datetime(2026, 2, 25, tzinfo=UTC)
    window = start + timedelta(minutes=15 * random.randrange(7 * 96))
    key = random.choice((GUILD_ACCOUNT, GUILD_ACCOUNT, 11, 12, 13))
    sums = {"num_images": random.randrange(3), "reserved": random.randrange(9), "used": random.randrange(9)}
    return {"guild_id": random.randrange(1, 6), "member_key": key, "window": window, **sums}


def sum_by_hand(rows: list[dict[str, int | datetime]], day: date) -> DayOfAll:
    mine = [row for row in rows if row["window"].date() == day]
    guilds = [row for row in mine if row["member_key"] == GUILD_ACCOUNT]
    members = {row["member_key"] for row in mine if row["member_key"] != GUILD_ACCOUNT and row["num_images"]}
    usage = Usage(*(sum(row[name] for row in guilds) for name in ("num_images", "reserved", "used")))
    num_guilds = len({row["guild_id"] for row in guilds if row["num_images"]})
    return DayOfAll(date=day, usage=usage, num_members=len(members), num_guilds=num_guilds)


@on_both_long
@pytest.mark.parametrize("seed", [7])
async def test_the_days_of_all_guilds(database: Database, seed: int) -> None:
    random = Random(seed)
    drawn = [a_row(random) for _ in range(600)]
    rows = list({(row["guild_id"], row["member_key"], row["window"]): row for row in drawn}.values())
    await database.write(lambda session: session.execute(insert(_balances), rows) and None)
    found = await UsageStore(database).fetch_days_of_all(DAYS)
    assert found == [sum_by_hand(rows, day) for day in DAYS]
    assert await UsageStore(database).fetch_days_of_all([date(2025, 1, 1)]) == [
        DayOfAll(date=date(2025, 1, 1), usage=Usage())
    ]
    assert await UsageStore(database).fetch_days_of_all([]) == []


async def test_each_day_is_a_range_of_an_index(database: Database) -> None:
    steps = await plan(database, lambda each: UsageStore(each).fetch_days_of_all(DAYS))
    assert "SEARCH balances USING INDEX ix_balances_window (window>? AND window<?)" in steps
    assert not any(step.startswith("SCAN balances") for step in steps)
