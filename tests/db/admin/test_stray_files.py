"""Stray files are deleted after an hour; a file that is needed, or may be named, is kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from db.admin.retention import RetentionStore
from db.column_types import JsonOf
from db.engine import Database
from db.models import Base
from db.stores.image_files import find_strays
from db.stores.jobs import JobStore
from generation.images import cleanup
from generation.images.cleanup import sweep, sweep_periodically
from generation.images.store import ImageFiles
from generation.jobs.job import Job, Outcome, Status
from generation.requests.edits import StartImage, Upscale
from generation.requests.replay import Replay
from generation.requests.spec import GenerationRequest
from generation.retry import retry_write
from tests.db.kinds import on_both_long, on_sqlite
from tests.db.some_jobs import NOW, a_job, a_reply, a_spec, done, ended
from tests.patience import PATIENCE_S

pytestmark = on_both_long

LONG_AGO = NOW - timedelta(days=1)


class Folder:
    """The pictures of a running bot, with chosen times."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.files = ImageFiles(folder)

    def put(self, content: str, *, minutes_ago: int = 120, before: datetime = NOW) -> str:
        sha256 = self.files.put(content.encode())
        self.lay(self.path / sha256[:2] / f"{sha256}.png", minutes_ago=minutes_ago, before=before)
        return sha256

    def lay(self, path: Path, *, minutes_ago: int, before: datetime = NOW) -> None:
        at = (before - timedelta(minutes=minutes_ago)).timestamp()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))

    def there(self) -> set[str]:
        return {path.stem for path in self.path.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "pictures")


async def accepted(database: Database, job: Job, *, attached: Collection[str] = ()) -> Job:
    await JobStore(database).accept(replace(job, created_at=LONG_AGO), a_reply(), attached=attached)
    return job


async def settled(database: Database, job: Job, outcome: Outcome, *, attached: Collection[str] = ()) -> None:
    await accepted(database, job, attached=attached)
    assert await JobStore(database).settle(job.images[0].id, 0, outcome)


def reproducing(original: str) -> Job:
    replay = Replay(trace="", pixels_sha256="p" * 64, original=original)
    job = a_job()
    return replace(job, request=GenerationRequest(spec=job.request.spec, replay=replay))


async def everything_that_can_be_named(database: Database, folder: Folder) -> set[str]:
    """Create a file of every kind, and the rows that name them."""
    painted, due, posted = a_job(), reproducing(folder.put("due original")), reproducing(folder.put("seen original"))
    await settled(database, painted, done(painted, file=folder.put("painted")))
    start = StartImage(strength=0.5, sha256=folder.put("start"), mask_sha256=folder.put("mask"))
    for spec in (a_spec(start=start), a_spec(upscale=Upscale(sha256=folder.put("enlarged")))):
        await settled(database, a_job(spec=spec), ended(Status.FAILED), attached=spec.files)
    blurred = Outcome(status=Status.WITHHELD, charged=0, review_sha256=folder.put("blurred"))
    await settled(database, a_job(), blurred)
    await accepted(database, a_job(spec=a_spec(start=StartImage(strength=0.5, sha256=folder.put("waited for")))))
    await accepted(database, reproducing(folder.put("original")))
    await settled(database, due, ended(Status.CANCELLED))
    named = folder.there() - {folder.put("seen original")}
    await settled(database, posted, ended(Status.CANCELLED))
    await database.write(
        lambda session: session.connection().exec_driver_sql(
            f"UPDATE deliveries SET state = 'posted' WHERE job_id = '{posted.id}'"
        )
    )
    return named


async def test_only_unreferenced_files_are_deleted(database: Database, folder: Folder) -> None:
    named = await everything_that_can_be_named(database, folder)
    young = folder.put("an upload of a request that is being accepted", minutes_ago=50)
    for name in ("tmpab_12cd9", "notes.txt"):
        folder.lay(folder.path / "ab" / name, minutes_ago=120)
    handle, being_put = folder.files._begin(folder.path / "ab")
    os.close(handle)
    folder.put("an upload of a request that was refused")
    start = StartImage(strength=0.5, sha256=folder.put("deleted while another member's picture of it was waiting"))
    await settled(database, a_job(spec=a_spec(start=start)), ended(Status.CANCELLED))
    num_removed = await sweep(RetentionStore(database), folder.files, now=NOW)
    assert folder.there() == named | {young, being_put.name, "notes"}
    assert num_removed == 3  # the two above, and the original of a reproduction that was seen
    assert len(named) == 8


async def test_writing_a_file_again_renews_its_age(database: Database, folder: Folder) -> None:
    await accepted(database, a_job())
    old = folder.put("uploaded again by another member", before=datetime.now(UTC))
    folder.files.put(b"uploaded again by another member")
    now = datetime.now(UTC)
    assert await sweep(RetentionStore(database), folder.files, now=now) == 0
    assert not folder.files.remove_untouched(old, until=now - timedelta(hours=1)), "nor in the last moment"
    assert await sweep(RetentionStore(database), folder.files, now=now + timedelta(hours=2)) == 1


@on_sqlite
async def test_files_that_another_database_may_name_stay(database: Database, folder: Folder, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    folder.put("of a database that was lost", before=LONG_AGO)
    of_both = folder.put("of before a restore", minutes_ago=1, before=now)
    retention, later = RetentionStore(database), now + timedelta(hours=2)
    assert await sweep(retention, folder.files, now=later) == 0, "a database that knows of nothing"
    await accepted(database, a_job())
    set_aside = tmp_path / "atelier.db.before-restore"
    set_aside.touch()
    assert await sweep(retention, folder.files, now=later) == 0, "one that may yet be given back its place"
    set_aside.unlink()
    assert await sweep(retention, folder.files, now=later) == 1
    assert of_both not in folder.there()
    assert len(folder.there()) == 1


async def test_while_storage_refuses_rows_nothing_is_taken_for_a_stray(database: Database, folder: Folder) -> None:
    job = await accepted(database, a_job())
    painted = folder.put("painted")
    again, repaired = asyncio.Event(), asyncio.Event()
    tries = 0

    async def settle() -> bool:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the disk is full")
        again.set()
        await repaired.wait()
        return await JobStore(database).settle(job.images[0].id, 0, done(job, file=painted))

    settling = asyncio.create_task(retry_write(settle))
    await asyncio.wait_for(again.wait(), PATIENCE_S)
    assert await sweep(RetentionStore(database), folder.files, now=NOW) == 0
    repaired.set()
    assert await settling
    assert await sweep(RetentionStore(database), folder.files, now=NOW) == 0
    assert folder.there() == {painted}


@on_sqlite
async def test_stray_files_are_found_by_index(database: Database) -> None:
    def plans(session: Session) -> list[str]:
        connection, asked = session.connection(), []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        find_strays(session, ["a" * 64, "b" * 64])
        event.remove(connection, "before_cursor_execute", note)
        steps = (connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {each[0]}", each[1]).fetchall() for each in asked)
        return [step[3] for of_query in steps for step in of_query]

    steps = await database.read(plans)
    assert sum("ix_image_files_sha256_role (sha256=?" in step for step in steps) == 3
    assert [step for step in steps if step.startswith("SCAN")] == []


def test_every_column_that_can_name_a_file_is_known_here() -> None:
    """A new one belongs into `db.stores.image_files.find_strays`, and into the first test above, or its files are swept
    away."""
    columns = [column for table in Base.metadata.tables.values() for column in table.columns]
    found = {str(column) for column in columns if "sha256" in column.name or isinstance(column.type, JsonOf)}
    looked_at = {"image_files.sha256", "uploads.sha256", "reviews.sha256"}
    repeated = {"images.spec", "images.recipe", "jobs.request"}  # image_files has what these name
    nameless = {
        "jobs.handling",
        "images.judgement",
        "guild_settings.choices",
        "content_rules.rule",
        "member_preferences.choices",
    }
    assert found == looked_at | repeated | nameless


async def test_where_much_was_put_the_sweep_comes_at_once(
    database: Database, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By amount as well as by age: a flood would fill the disk long before the next sweep by the clock."""
    swept = Swept(RetentionStore(database))
    monkeypatch.setattr(cleanup, "PRESSED_BYTES", 100)
    sweeping = asyncio.create_task(sweep_periodically(swept, folder.files, first_s=3600, look_every_s=0.001))
    folder.put("little")
    for _ in range(100):  # the control: it looks, and has nothing to do
        await asyncio.sleep(0.001)
    assert not swept.once.is_set()
    folder.put("x" * 200)
    await asyncio.wait_for(swept.once.wait(), 60)
    sweeping.cancel()
    await asyncio.wait((sweeping,))


async def test_a_limited_sweep_keeps_older_files(database: Database, folder: Folder) -> None:
    await accepted(database, a_job())
    old, new = folder.put("old", minutes_ago=120), folder.put("new", minutes_ago=30)
    register = RetentionStore(database)
    since = NOW - timedelta(minutes=60)
    assert await sweep(register, folder.files, now=NOW, untouched=timedelta(minutes=20), since=since) == 1
    assert folder.there() == {old}
    assert new not in folder.there()


class Swept:
    """A register that records when it was asked."""

    def __init__(self, register: RetentionStore) -> None:
        self.once = asyncio.Event()
        self._register = register

    async def fetch_confirmed_now(self) -> datetime:
        return await self._register.fetch_confirmed_now()

    async def fetch_watched_since(self) -> datetime | None:
        self.once.set()
        return await self._register.fetch_watched_since()

    async def fetch_strays(self, files: Collection[str]) -> Collection[str]:
        return await self._register.fetch_strays(files)


async def test_the_sweep_continues_after_an_error(folder: Folder) -> None:
    twice = asyncio.Event()

    class Away:
        calls = 0

        async def fetch_confirmed_now(self) -> datetime:
            return NOW

        async def fetch_watched_since(self) -> datetime:
            self.calls += 1
            if self.calls == 2:
                twice.set()
            raise OSError("the disk is away")

        async def fetch_strays(self, files: object) -> frozenset[str]:
            raise AssertionError("nothing could be judged")

    sweeping = asyncio.create_task(sweep_periodically(Away(), folder.files, first_s=0, every_s=0))
    await asyncio.wait_for(twice.wait(), PATIENCE_S)
    sweeping.cancel()
    await asyncio.wait((sweeping,))
