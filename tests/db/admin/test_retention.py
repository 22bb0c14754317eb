"""How long the pictures of a guild stay on disk, and which stay longer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from db.admin.retention import RetentionStore
from db.engine import Database
from db.stores.favourites import FavouriteStore
from db.stores.jobs import JobStore
from db.stores.settings import SettingsStore
from generation.images.cleanup import keep_tidy, tidy
from generation.images.store import ImageFiles
from generation.jobs.job import Job, Outcome, Status
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.edits import StartImage
from tests.db.kinds import on_both_long
from tests.db.some_jobs import NOW, a_job, a_recipe, a_spec
from tests.patience import PATIENCE_S
from tests.running import run_for_a_day

pytestmark = on_both_long

TIDY, MESSY = 1, 2


async def finished(database: Database, sha256: str, *, guild: int = TIDY, days_ago: int = 0) -> Job:
    job = a_job(guild=guild, user=100)
    jobs = JobStore(database, clock=lambda: NOW - timedelta(days=days_ago))
    await jobs.accept(job)
    attempt = await jobs.claim(job.images[0].id)
    assert attempt is not None
    recipe = a_recipe(job.request.spec)
    outcome = Outcome(status=Status.DONE, charged=1, recipe=recipe, file_sha256=sha256)
    await jobs.settle(job.images[0].id, attempt, outcome)
    return job


async def expired(database: Database) -> frozenset[str]:
    """Return the expired files of all that these tests put on disk."""
    return await RetentionStore(database).fetch_expired([letter * 64 for letter in "abc"], now=NOW)


async def keeps_for(database: Database, days: int) -> None:
    settings = GuildSettings(guild_id=TIDY, choices=GuildPreferences(retention_days=days))
    await SettingsStore(database).change(settings.guild_id, lambda _old: settings)


async def test_a_guild_that_chose_nothing_keeps_everything(database: Database) -> None:
    await finished(database, "a" * 64, days_ago=900)
    assert await expired(database) == frozenset()


async def test_expired_files_are_deleted_and_their_rows_kept(database: Database) -> None:
    await keeps_for(database, 30)
    old = await finished(database, "a" * 64, days_ago=31)
    await finished(database, "b" * 64, days_ago=29)
    await finished(database, "c" * 64, days_ago=900, guild=MESSY)
    assert await expired(database) == {"a" * 64}
    painted = await JobStore(database).fetch_painted("a" * 64)
    assert painted is not None
    assert painted.job_id == old.id
    assert painted.recipe is not None


async def test_a_favourite_stays_and_so_does_a_file_that_a_younger_picture_shares(database: Database) -> None:
    await keeps_for(database, 30)
    liked = await finished(database, "a" * 64, days_ago=31)
    await FavouriteStore(database).toggle_favourite(liked.id, 200)
    await finished(database, "b" * 64, days_ago=31)
    await finished(database, "b" * 64, days_ago=1)
    await finished(database, "c" * 64, days_ago=31)
    await finished(database, "c" * 64, days_ago=900, guild=MESSY)
    assert await expired(database) == frozenset()


async def test_the_source_of_a_waiting_picture_is_kept(database: Database) -> None:
    await keeps_for(database, 30)
    await finished(database, "a" * 64, days_ago=31)
    waiting = a_job(guild=TIDY, spec=a_spec(start=StartImage(sha256="a" * 64, strength=0.5)))
    await JobStore(database).accept(replace(waiting, created_at=NOW))
    assert await expired(database) == frozenset()


async def test_cleanup_deletes_expired_files_on_disk(database: Database, tmp_path: Path) -> None:
    files = ImageFiles(tmp_path / "pictures")
    old, young, unknown = (files.put(data) for data in (b"old", b"young", b"unknown"))
    await finished(database, old, days_ago=31)
    await finished(database, young, days_ago=1)
    await finished(database, "d" * 64, days_ago=31)  # gone from the disk
    limits = RetentionStore(database, clock=lambda: NOW)
    await run_for_a_day(database, lambda: NOW)
    assert not await limits.has_limits()
    assert await tidy(limits, files) == 0
    await keeps_for(database, 30)
    assert await limits.has_limits()
    assert await tidy(limits, files) == 1
    assert [files.get(each) is None for each in (old, young, unknown)] == [True, False, False]
    assert await tidy(limits, files) == 0


async def test_cleanup_asks_only_about_files_on_disk(database: Database, tmp_path: Path) -> None:
    """However much was painted: what is gone from the disk costs nothing."""
    files, asked = ImageFiles(tmp_path / "pictures"), list[str]()
    there = files.put(b"there")
    await keeps_for(database, 30)
    for letter in "abc":
        await finished(database, letter * 64, days_ago=31)

    class Watched(RetentionStore):
        async def fetch_expired(self, files: Collection[str], *, now: datetime) -> frozenset[str]:
            asked.extend(files)
            return await super().fetch_expired(files, now=now)

    await tidy(Watched(database, clock=lambda: NOW), files)
    assert asked == [there]


async def test_cleanup_continues_after_an_error(tmp_path: Path) -> None:
    twice = asyncio.Event()

    class Away(RetentionStore):
        calls = 0

        def __init__(self) -> None:
            pass

        async def fetch_confirmed_now(self) -> datetime:
            self.calls += 1
            if self.calls == 2:
                twice.set()
            raise OSError("the disk is away")

    tidying = asyncio.create_task(keep_tidy(Away(), ImageFiles(tmp_path), every_s=0))
    await asyncio.wait_for(twice.wait(), PATIENCE_S)
    tidying.cancel()
    await asyncio.wait((tidying,))
