"""The promises of the database engine: no lost update, only one bot, failing storage refuses and leaves nothing."""

import asyncio
import gc
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.admin.reconcile import reconcile
from db.engine import Database
from db.file_watch import DatabaseReplacedError
from db.group_commit import DatabaseClosedError
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from generation.errors import ConfigurationError, NotAcceptedError
from generation.policy.quota import Usage
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, a_job, a_reply
from tests.patience import PATIENCE_S
from tests.stored import fetch_jobs

READ = text("SELECT counter FROM queue_counters WHERE guild_id = 1")
WRITE = text("UPDATE queue_counters SET counter = :counter WHERE guild_id = 1")


def increment(session: Session) -> None:
    session.execute(WRITE, {"counter": session.scalar(READ) + 1})


@on_both
async def test_a_thousand_concurrent_increments_lose_none(database: Database) -> None:
    await JobStore(database).save_counters({1: 0.0})
    await asyncio.gather(*(database.write(increment) for _ in range(1000)))
    assert await JobStore(database).fetch_counters() == {1: 1000.0}


async def test_writers_of_two_connections_exclude_each_other_from_their_first_read(
    database: Database, tmp_path: Path
) -> None:
    """The same interleaving as the control below; here the second waits, and is refused, before it has read."""
    await JobStore(database).save_counters({1: 0.0})
    with closing(
        sqlite3.connect(tmp_path / "atelier.db", timeout=0, isolation_level=None, check_same_thread=False)
    ) as other:

        def interleave(session: Session) -> None:
            read = session.scalar(READ)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            session.execute(WRITE, {"counter": read + 1})

        await database.write(interleave)
        assert other.execute(READ.text).fetchone() == (1.0,)


async def test_control_the_driver_defaults_lose_an_update(database: Database) -> None:
    await JobStore(database).save_counters({1: 0.0})
    naive = create_engine(database.url)
    with naive.connect() as first, naive.connect() as second:
        for connection in (first, second):
            assert connection.scalar(READ) == 0.0
        for connection in (first, second):
            connection.execute(WRITE, {"counter": 1.0})
            connection.commit()
    naive.dispose()
    assert await JobStore(database).fetch_counters() == {1: 1.0}  # two increments, one counted, no error


async def test_readers_do_not_wait_for_a_writer_and_see_one_moment(database: Database, tmp_path: Path) -> None:
    await JobStore(database).save_counters({1: 1.0})
    with closing(sqlite3.connect(tmp_path / "atelier.db", timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(WRITE.text, {"counter": 2.0})
        assert await JobStore(database).fetch_counters() == {1: 1.0}
        other.execute("COMMIT")
    assert await JobStore(database).fetch_counters() == {1: 2.0}


@on_both
async def test_nothing_is_read_on_the_event_loop(database: Database) -> None:
    """A read through an asynchronous driver held the loop for 1.4 ms; a visit to a thread holds it for 0.1 ms."""
    here = threading.get_ident()
    for ask in (database.read, database.read_apart, database.write):
        assert await ask(lambda session: session.scalar(text("SELECT 1")) and threading.get_ident()) != here


@on_both
async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        await database.read(lambda session: session.execute(text("DELETE FROM jobs")))


async def test_every_write_is_flushed_to_the_disk(database: Database) -> None:
    def pragmas(session: Session) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [session.scalar(text(f"PRAGMA {name}")) for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 1]


async def test_a_second_bot_on_the_same_folder_is_refused_with_a_remedy(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ATELIER_DATA_DIR"):
        await Database.open(str(database.url), tmp_path)
    await database.close()
    await (await Database.open(str(database.url), tmp_path)).close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/atelier",
        "postgresql://host",
        "postgresql://h/a?options=-c",
        "sqlite://",
        "sqlite:///:memory:",
        "no address",
        "",
    ],
)
async def test_an_unusable_url_is_refused_and_the_folder_unlocked(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ATELIER_DATABASE_URL"):
        await Database.open(url, tmp_path)
    await (await Database.open(f"sqlite:///{tmp_path}/atelier.db", tmp_path)).close()


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize("kind", ["file", "below a file", "circle", "long"])
async def test_a_data_folder_that_can_be_none_is_one_sentence(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    folder = {"below a file": tmp_path / "file" / "data", "long": tmp_path / ("a" * 300)}.get(kind, tmp_path / kind)
    with pytest.raises(ConfigurationError, match=rf"{folder} .*ATELIER_DATA_DIR"):
        await Database.open(f"sqlite:///{tmp_path}/atelier.db", folder)


async def test_a_foreign_file_is_refused_and_the_folder_unlocked(tmp_path: Path) -> None:
    (tmp_path / "atelier.db").write_text("not a database, and long enough to be seen as none " * 20)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"atelier\.db"):
            await Database.open(f"sqlite:///{tmp_path}/atelier.db", tmp_path)


async def assert_nothing_was_kept_and_the_next_is_accepted(database: Database) -> None:
    used = await QuotaStore(database).fetch_guild_usage(GUILD, since=NOW)
    assert used == Usage()
    assert await JobStore(database).fetch_unfinished() == []
    assert (await reconcile(database)).is_exact
    await JobStore(database).accept(a_job(), a_reply())
    assert len(await JobStore(database).fetch_unfinished()) == 1


async def test_a_full_disk_accepts_nothing_and_keeps_nothing(database: Database) -> None:
    def limit_pages(session: Session, *, spare: int) -> None:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count = {pages + spare}"))

    await database.write(lambda session: limit_pages(session, spare=1))
    big = [a_job(count=4) for _ in range(20)]
    answers = await asyncio.gather(*(JobStore(database).accept(job) for job in big), return_exceptions=True)
    assert all(isinstance(answer, NotAcceptedError) for answer in answers)
    await database.write(lambda session: limit_pages(session, spare=10_000))
    await assert_nothing_was_kept_and_the_next_is_accepted(database)


def set_read_only(database: Database, switch: str) -> None:
    """Outside any transaction, for a read-only connection cannot begin one that writes."""
    with database._writing.connect() as connection:
        connection.connection.driver_connection.execute(f"PRAGMA query_only = {switch}")


async def test_a_read_only_database_accepts_nothing(database: Database) -> None:
    set_read_only(database, "ON")
    with pytest.raises(NotAcceptedError):
        await JobStore(database).accept(a_job())
    set_read_only(database, "OFF")
    await assert_nothing_was_kept_and_the_next_is_accepted(database)


async def test_a_database_locked_for_too_long_accepts_nothing(url: str, tmp_path: Path) -> None:
    async with await Database.open(url, tmp_path, busy_timeout_s=0.05) as database:
        with closing(sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(NotAcceptedError):
                await JobStore(database).accept(a_job())
        await assert_nothing_was_kept_and_the_next_is_accepted(database)


@on_both
async def test_cancelled_callers_harm_nothing(database: Database) -> None:
    """Writes under way are kept, reads are dropped; every connection still works and none is left open."""
    jobs = JobStore(database)
    every = [a_job() for _ in range(40)]
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(jobs.accept(job)) for job in every]
    tasks += [asyncio.create_task(fetch_jobs(jobs, job.owner)) for job in every]
    await jobs.fetch_counters()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(jobs.fetch_counters() for _ in range(20)))
    assert (await reconcile(database)).is_exact
    gc.collect()  # a connection left behind would warn here, and a warning is an error


@on_both
async def test_closing_waits_for_readers_and_refuses_later_ones(url: str, tmp_path: Path) -> None:
    """A connection given back too late would be left open, warn when it is collected, and fail here."""
    database = await Database.open(url, tmp_path)
    reads = [asyncio.create_task(database.read(lambda session: session.scalar(text("SELECT 1")))) for _ in range(3)]
    await asyncio.sleep(0)  # let them all be asked for
    await database.close()
    assert await asyncio.gather(*reads) == [1, 1, 1]
    with pytest.raises(DatabaseClosedError):
        await database.read(lambda session: session.scalar(READ))
    gc.collect()


@on_both
async def test_a_closed_database_finishes_waiting_work_then_refuses(url: str, tmp_path: Path) -> None:
    database = await Database.open(url, tmp_path)
    await JobStore(database).save_counters({1: 0.0})
    writes = [asyncio.create_task(database.write(increment)) for _ in range(100)]
    await asyncio.sleep(0)  # let them all be asked for
    await database.close()
    await asyncio.gather(*writes)
    with pytest.raises(NotAcceptedError):
        await JobStore(database).accept(a_job())
    async with await Database.open(url, tmp_path) as again:
        assert await JobStore(again).fetch_counters() == {1: 100.0}


@pytest.mark.skipif(os.name == "nt", reason="files are counted by descriptors")
@on_both
async def test_no_file_is_opened_later(database: Database) -> None:
    """What grows under load is a leak, or cannot be told from one."""
    await database.write(lambda session: None)
    before = psutil.Process().num_fds()
    await asyncio.gather(*(database.read(lambda session: session.execute(text("SELECT 1")).one()) for _ in range(50)))
    assert psutil.Process().num_fds() == before


@on_both
async def test_errors_carry_no_values(database: Database) -> None:
    """They are logged, and what is written holds prompts and tokens."""
    missing = text("SELECT * FROM nowhere WHERE prompt = :prompt")
    for ask in (database.read, database.write):
        with pytest.raises(DBAPIError, match="nowhere") as failed:
            await ask(lambda session: session.execute(missing, {"prompt": "an unmistakable marmalade"}))
        assert "marmalade" not in str(failed.value)


def delete(file: Path) -> None:
    file.rename(file.with_name("aside"))


def replace_by_a_copy(file: Path) -> None:
    copied = file.read_bytes()
    delete(file)
    file.write_bytes(copied)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file where it is")
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
@pytest.mark.parametrize("take", [delete, replace_by_a_copy])
async def test_nothing_is_accepted_into_a_file_that_was_replaced_or_deleted(
    database: Database, tmp_path: Path, ending: str, take: Callable[[Path], None]
) -> None:
    store, file = JobStore(database), tmp_path / f"atelier.db{ending}"
    kept = a_job()
    await store.accept(kept)
    assert database.problem is None
    take(file)
    with pytest.raises(NotAcceptedError):
        await store.accept(a_job())
    assert str(file) in str(database.problem) and "nothing is saved" in str(database.problem)

    file.with_name("aside").replace(file)
    assert database.problem is None
    await store.accept(a_job())
    assert len(await store.fetch_unfinished()) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file where it is")
async def test_a_file_that_is_taken_during_the_write_is_noticed_too(database: Database, tmp_path: Path) -> None:
    def write(session: Session) -> None:
        session.execute(WRITE, {"counter": 1.0})
        delete(tmp_path / "atelier.db")

    with pytest.raises(DatabaseReplacedError, match="deleted"):
        await database.write(write)


@on_both
async def test_the_writer_continues_after_a_failed_callback(database: Database) -> None:
    """All writes share one task: if it ended, every later one would wait for ever."""

    def stumble() -> None:
        raise RuntimeError("a copy in memory could not be dropped")

    await JobStore(database).save_counters({1: 0.0})
    await database.write(increment, then=stumble)
    async with asyncio.timeout(PATIENCE_S):
        await database.write(increment)
    assert await JobStore(database).fetch_counters() == {1: 2.0}
