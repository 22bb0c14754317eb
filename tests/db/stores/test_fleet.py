"""The number of a bot grows with every start on its database, and never falls behind a clock."""

from __future__ import annotations

import asyncio

from db.engine import Database
from db.stores.fleet import FleetStore


async def test_each_bot_of_a_database_is_newer_than_those_before(database: Database) -> None:
    store = FleetStore(database, clock_s=lambda: 1000.9)
    assert [await store.begin_epoch() for _ in range(3)] == [1000, 1001, 1002]
    assert await FleetStore(database, clock_s=lambda: 5.0).begin_epoch() == 1003, "a clock that was set back"


async def test_a_restored_database_does_not_fall_behind(database: Database) -> None:
    """It knows nothing of the bots after its backup; members do."""
    assert await FleetStore(database, clock_s=lambda: 2_000.0).begin_epoch() == 2000


async def test_bots_that_begin_at_once_differ(database: Database) -> None:
    store = FleetStore(database, clock_s=lambda: 0.0)
    assert sorted(await asyncio.gather(*(store.begin_epoch() for _ in range(5)))) == [1, 2, 3, 4, 5]
