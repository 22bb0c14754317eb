"""A clock that is wrong for a while deletes nothing; one that a day of running has confirmed deletes what is over."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.models import ClockReadingRow
from db.running_time import CONFIRMED_BY, NEVER
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.settings import SettingsStore
from generation.images.cleanup import sweep, tidy
from generation.images.store import ImageFiles
from generation.jobs.job import Outcome, Status
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.safety.visibility import FlaggedHandling
from tests.db.guild_stores import open_stores
from tests.db.some_jobs import GUILD, NOW, USER, a_job, done
from tests.running import run_for_a_day

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GONE = 77


@dataclass
class Machine:
    """A data folder, and the two clocks of its machine."""

    folder: Path
    url: str
    now: datetime = NOW
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def run(self, time: timedelta) -> None:
        """Let time pass while the bot runs."""
        self.now += time
        self.seconds[0] += time.total_seconds()

    def clock(self) -> datetime:
        return self.now

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Database]:
        async with await Database.open(self.url, self.folder) as database:
            database.running.__init__(lambda: self.seconds[0])  # type: ignore[misc]
            yield database


@pytest.fixture
def machine(tmp_path: Path, url: str) -> Machine:
    return Machine(tmp_path, url)


async def confirmed(machine: Machine, database: Database, *, after: timedelta = timedelta(0)) -> datetime:
    machine.run(after)
    return await database.confirmed_now(machine.clock)


async def test_while_the_clock_is_right_its_time_is_confirmed_after_a_day(machine: Machine) -> None:
    async with machine.started() as database:
        assert await confirmed(machine, database) == NEVER
        assert await confirmed(machine, database, after=23 * HOUR) == NEVER
        assert await confirmed(machine, database, after=HOUR) == machine.now
        for _ in range(50):
            found = await confirmed(machine, database, after=HOUR / 6)
            assert machine.now - 23 * HOUR < found <= machine.now
        rows = await database.read(lambda session: session.scalar(select(func.count()).select_from(ClockReadingRow)))
        assert rows == 53, "the readings of a day are kept, and one before"
        for _ in range(200):
            found = await confirmed(machine, database, after=HOUR)
        assert found == machine.now, "readings every hour: one is just a day old"
        rows = await database.read(lambda session: session.scalar(select(func.count()).select_from(ClockReadingRow)))
        assert rows == 25


async def test_a_day_of_running_is_counted_over_restarts_and_time_off_does_not_count(machine: Machine) -> None:
    for _ in range(3):
        async with machine.started() as database:
            assert await confirmed(machine, database) == NEVER
            assert await confirmed(machine, database, after=6 * HOUR) == NEVER
        machine.now += 10 * DAY
    async with machine.started() as database:
        assert await confirmed(machine, database, after=6 * HOUR) < machine.now - 20 * DAY, "as the first day ran"
        assert await confirmed(machine, database, after=CONFIRMED_BY) == machine.now


async def test_a_lower_reading_restarts_the_confirmation(machine: Machine) -> None:
    async with machine.started() as database:
        await run_for_a_day(database, machine.clock)
        for _ in range(5):
            machine.now += 40 * DAY
            await confirmed(machine, database, after=20 * HOUR)
            machine.now -= 40 * DAY
            assert await confirmed(machine, database, after=HOUR) <= machine.now
            machine.now += 40 * DAY
            assert await confirmed(machine, database) <= machine.now - 39 * DAY
            machine.now -= 40 * DAY


async def leave_things_behind(machine: Machine, database: Database) -> tuple[JobStore, ImageFiles]:
    """Create one of everything that is deleted by the clock, none of it expired yet."""
    jobs, files = JobStore(database, clock=machine.clock), ImageFiles(machine.folder / "pictures")
    week = GuildSettings(guild_id=GUILD, choices=GuildPreferences(retention_days=7))
    await SettingsStore(database).change(GUILD, lambda _old: week)
    kept, withheld = a_job(at=machine.now), a_job(at=machine.now)
    await jobs.accept(kept)
    assert await jobs.settle(kept.images[0].id, 0, done(kept, file=files.put(b"kept")))
    object.__setattr__(withheld, "handling", FlaggedHandling(review_hours=48))
    await jobs.accept(withheld)
    outcome = Outcome(status=Status.WITHHELD, charged=0, review_sha256=files.put(b"blurred"))
    assert await jobs.settle(withheld.images[0].id, 0, outcome)
    await ModerationStore(database, clock=machine.clock).record_refusal(GUILD, USER)
    gone = RemovedGuildStore(database, clock=machine.clock, grace=30 * DAY)
    await SettingsStore(database).change(GONE, lambda _old: GuildSettings(guild_id=GONE, weight=2))
    await gone.mark_removed(GONE)
    upload = files.put(b"an upload that is being accepted")
    for path in (machine.folder / "pictures").rglob("*.png"):
        os.utime(path, (machine.now.timestamp(),) * 2)
    assert upload
    return jobs, files


async def what_goes(machine: Machine, database: Database, files: ImageFiles) -> dict[str, object]:
    """Run every deletion by the clock, as the bot's sweeps do it."""
    moderation = ModerationStore(database, clock=machine.clock)
    retention = RetentionStore(database, clock=machine.clock)
    await moderation.forget_old_refusals()
    refusals = await moderation.fetch_refusals(GUILD, USER, since=NOW - 400 * DAY)
    return {
        "servers": await RemovedGuildStore(database, clock=machine.clock, grace=30 * DAY).fetch_overdue(),
        "pictures": await tidy(retention, files),
        "reviews": await open_stores(database, clock=machine.clock).reviews.drop_reviewed(),
        "refusals": 1 - refusals.num_refused,
        "strays": await sweep(retention, files, now=await retention.fetch_confirmed_now()),
    }


async def test_a_start_with_the_clock_forty_days_ahead_deletes_nothing(machine: Machine) -> None:
    async with machine.started() as database:
        await confirmed(machine, database)
        await confirmed(machine, database, after=2 * DAY)
        _, files = await leave_things_behind(machine, database)
    nothing = {"servers": [], "pictures": 0, "reviews": [], "refusals": 0, "strays": 0}
    machine.now += 40 * DAY
    for _ in range(3):
        async with machine.started() as database:
            assert await what_goes(machine, database, files) == nothing
            machine.run(7 * HOUR)
            assert await what_goes(machine, database, files) == nothing
    machine.now -= 40 * DAY
    async with machine.started() as database:
        assert await what_goes(machine, database, files) == nothing
        machine.run(DAY)
        found = await what_goes(machine, database, files)
        assert found == nothing | {"strays": 1}, "the upload that no request came for"


async def test_expired_data_is_deleted_by_a_confirmed_clock(machine: Machine) -> None:
    async with machine.started() as database:
        await confirmed(machine, database)
        await confirmed(machine, database, after=2 * DAY)
        _, files = await leave_things_behind(machine, database)
        machine.run(30 * DAY + HOUR)
        found = await what_goes(machine, database, files)
        assert found["servers"] == [], "overdue, and seen for the first time"
        assert found | {"strays": 0} == {"servers": [], "pictures": 0, "reviews": [], "refusals": 0, "strays": 0}
        machine.run(DAY)
        found = await what_goes(machine, database, files)
        assert found["servers"] == [GONE] and all(found[name] for name in ("pictures", "reviews", "refusals"))


async def test_times_of_an_unset_clock_never_expire(machine: Machine) -> None:
    right, machine.now = machine.now, datetime(1970, 1, 1, 0, 5, tzinfo=NOW.tzinfo)
    async with machine.started() as database:
        _, files = await leave_things_behind(machine, database)
        machine.now = right
        await confirmed(machine, database, after=DAY)
        machine.run(DAY)
        found = await what_goes(machine, database, files)
        assert (found["servers"], found["pictures"], found["strays"]) == ([], 0, 0)
        await RemovedGuildStore(database, clock=machine.clock, grace=30 * DAY).mark_removed(GONE)
        machine.run(31 * DAY)
        await confirmed(machine, database)
        assert (await what_goes(machine, database, files))["servers"] == []
        machine.run(DAY)
        assert (await what_goes(machine, database, files))["servers"] == [GONE], "counted from when it was found"
