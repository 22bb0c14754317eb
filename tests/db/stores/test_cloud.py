"""Money is reserved once, settled once, by months, and never taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.engine import Database
from db.stores.cloud import ABANDONED_AFTER, CloudStore
from generation.cloud.money import Begun, to_micros
from tests.db.kinds import on_both_long

pytestmark = on_both_long
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_an_image_is_reserved_and_settled_once(database: Database) -> None:
    store = CloudStore(database)
    first, again = await store.begin("a-0", price=5, budget=9), await store.begin("a-0", price=5, budget=9)
    assert (first.begun, first.committed, first.remote_id) == (Begun.NEW, 5, None)
    assert (again.begun, again.prediction_id, again.committed) == (Begun.AGAIN, first.prediction_id, 5)
    await store.note_asked(first.prediction_id, "r1")
    assert (await store.begin("a-0", price=5, budget=9)).remote_id == "r1"
    assert [await store.settle(first.prediction_id, spent=spent) for spent in (3, 4)] == [3, 3], "the first holds"
    assert (await store.begin("a-0", price=5, budget=9)).begun is Begun.SPENT
    found = await store.fetch_spending(since=LONG_AGO)
    assert (found.num_paid, found.spent, found.reserved) == (1, 3, 0)


async def test_those_who_ask_at_once_never_go_beyond_the_budget(database: Database) -> None:
    store = CloudStore(database)
    begun = await asyncio.gather(*(store.begin(f"a-{index}", price=5, budget=24) for index in range(8)))
    assert [each.begun for each in begun].count(Begun.NEW) == 4
    assert await store.fetch_committed() == 20
    await store.settle(next(each.prediction_id for each in begun if each.prediction_id), spent=0)
    assert (await store.begin("b-0", price=5, budget=24)).begun is Begun.NEW, "what was not spent is free again"


async def test_a_month_begins_with_its_whole_budget(database: Database) -> None:
    clock = Clock()
    store = CloudStore(database, clock=clock)
    november = await store.begin("a-0", price=5, budget=5)
    assert (await store.begin("a-1", price=5, budget=5)).begun is Begun.TOO_MUCH
    clock.now += timedelta(hours=1, minutes=1)
    assert (await store.begin("a-1", price=5, budget=5)).begun is Begun.NEW
    assert await store.settle(november.prediction_id, spent=5) == 5, "it is of the month in which it was asked for"


async def test_what_a_lost_bot_left_open_counts_as_spent(database: Database) -> None:
    clock = Clock()
    store = CloudStore(database, clock=clock)
    await store.begin("a-0", price=5, budget=100)
    clock.now += ABANDONED_AFTER + timedelta(seconds=1)
    assert (await store.begin("a-0", price=5, budget=100)).begun is Begun.SPENT
    assert (await store.fetch_spending(since=LONG_AGO)).spent == 5


@pytest.mark.parametrize("verb", ["UPDATE cloud_ledger SET spent = 0", "DELETE FROM cloud_ledger"])
async def test_it_is_append_only(database: Database, verb: str) -> None:
    await CloudStore(database).begin("a-0", price=5, budget=100)
    with pytest.raises(DBAPIError, match="append-only"):
        await database.write(lambda session: session.execute(text(verb)))


def test_money_is_never_rounded_down() -> None:
    assert [to_micros(amount) for amount in (0.0, 0.003, 1.0, 0.00000001)] == [0, 3000, 1_000_000, 1]
