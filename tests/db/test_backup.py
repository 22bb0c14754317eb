"""A backup taken while writes run restores to a database that adds up and misses at most what came after it."""

import asyncio
import errno
import itertools
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from db.admin.reconcile import reconcile
from db.backup import backup, check, restore
from db.engine import Database, parse_url
from db.stores.jobs import JobStore
from generation import progress
from generation.errors import ConfigurationError
from tests.db.some_jobs import GUILD, NOW, a_job, a_reply

MIGRATIONS = Path(__file__).resolve().parents[2] / "alembic" / "versions"


async def test_a_backup_taken_while_writing_restores(database: Database, tmp_path: Path) -> None:
    accepted: list[str] = []
    enough, some = asyncio.Event(), asyncio.Event()

    async def keep_writing() -> None:
        while not enough.is_set():
            job = a_job(user=len(accepted) + 1)
            await JobStore(database).accept(job, a_reply())
            accepted.append(job.id)
            some.set()

    writers = [asyncio.create_task(keep_writing()) for _ in range(4)]
    for number in itertools.count():  # until something was written while one was taken
        await some.wait()
        some.clear()
        before, copy = set(accepted), tmp_path / "backups" / f"{number}.db"
        await asyncio.to_thread(backup, database.url, copy)
        if len(accepted) > len(before):
            break
    enough.set()
    await asyncio.gather(*writers)

    elsewhere = tmp_path / "elsewhere"
    url = f"sqlite:///{elsewhere}/atelier.db"
    restore(copy, parse_url(url), elsewhere)
    async with await Database.open(url, elsewhere) as restored:
        kept = {job.id for job in await JobStore(restored).fetch_unfinished()}
        assert before <= kept <= set(accepted)
        assert (await reconcile(restored)).is_exact
        await JobStore(restored).accept(a_job())


async def test_restoring_sets_aside_what_was_there_and_waits_for_the_bot_to_stop(
    database: Database, tmp_path: Path
) -> None:
    await JobStore(database).save_counters({GUILD: 1.0})
    copy = tmp_path / "copy.db"
    backup(database.url, copy)
    await JobStore(database).save_counters({GUILD: 2.0})
    with pytest.raises(ConfigurationError, match="Another Atelier"):
        restore(copy, database.url, tmp_path)
    await database.close()
    restore(copy, database.url, tmp_path)
    async with await Database.open(str(database.url), tmp_path) as restored:
        assert await JobStore(restored).fetch_counters() == {GUILD: 1.0}
    with closing(sqlite3.connect(tmp_path / "atelier.db.before-restore")) as aside:
        assert aside.execute("SELECT counter FROM queue_counters").fetchall() == [(2.0,)]


@pytest.fixture
def relative(tmp_path: Path) -> Path:
    """Return the path as users type it."""
    return Path(os.path.relpath(tmp_path / "copy.db"))


async def test_a_damaged_database_and_its_log_are_set_aside_by_a_restore(
    url: str, tmp_path: Path, relative: Path
) -> None:
    file, copy = tmp_path / "atelier.db", relative
    backup(parse_url(url), copy)
    file.write_bytes(b"what a failing disk left")
    log = tmp_path / "atelier.db-wal"
    log.write_bytes(b"and more of it")
    restore(copy, parse_url(url), tmp_path)
    assert not log.exists() and (tmp_path / "atelier.db.before-restore-wal").read_bytes() == b"and more of it"
    async with await Database.open(url, tmp_path) as restored:
        await JobStore(restored).accept(a_job())


@pytest.mark.parametrize(("failing", "is_restored"), [(1, False), (2, False), (3, True)])
async def test_a_disk_that_fails_while_restoring_leaves_one_whole_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, is_restored: bool
) -> None:
    """First the copy is put on disk, then what was set aside, last the new name: whichever of them fails."""
    await JobStore(database).save_counters({GUILD: 1.0})
    copy = tmp_path / "copy.db"
    backup(database.url, copy)
    await JobStore(database).save_counters({GUILD: 2.0})
    await database.close()
    calls, sync = itertools.count(1), os.fsync

    def full_disk(handle: int) -> None:
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with (
        monkeypatch.context() as patched,
        pytest.raises(ConfigurationError, match=r"safely.*No space left.*Check free"),
    ):
        patched.setattr(os, "fsync", full_disk)
        restore(copy, database.url, tmp_path)
    assert not (tmp_path / "atelier.db.atelier.part").exists()
    async with await Database.open(str(database.url), tmp_path) as opened:
        assert await JobStore(opened).fetch_counters() == {GUILD: 1.0 if is_restored else 2.0}


async def test_an_interrupted_restore_is_refused_and_can_be_completed_or_undone(
    database: Database, tmp_path: Path
) -> None:
    await JobStore(database).save_counters({GUILD: 1.0})
    copy, file, aside = tmp_path / "copy.db", tmp_path / "atelier.db", tmp_path / "atelier.db.before-restore"
    backup(database.url, copy)
    await JobStore(database).save_counters({GUILD: 2.0})
    await database.close()
    file.replace(aside)  # and then the power went
    for _start in range(2):
        with pytest.raises(
            ConfigurationError, match=r"set aside: .*before-restore\. Run `python bot.py restore FILE` again"
        ):
            await Database.open(str(database.url), tmp_path)
        assert not file.exists()
    restore(copy, database.url, tmp_path)
    async with await Database.open(str(database.url), tmp_path) as restored:
        assert await JobStore(restored).fetch_counters() == {GUILD: 1.0}
    file.unlink()
    aside.replace(file)
    async with await Database.open(str(database.url), tmp_path) as back:
        assert await JobStore(back).fetch_counters() == {GUILD: 2.0}


async def test_a_damaged_or_foreign_file_is_no_backup_and_replaces_nothing(database: Database, tmp_path: Path) -> None:
    await asyncio.gather(*(JobStore(database).accept(a_job(at=NOW)) for _ in range(50)))
    copy = tmp_path / "copy.db"
    backup(database.url, copy)
    await database.close()
    assert check(copy) == max(path.name[:4] for path in MIGRATIONS.glob("0*.py"))
    sound = copy.read_bytes()
    page = 4096
    files = {
        "torn.db": sound[: len(sound) // 2],
        "scribbled.db": sound[: 3 * page] + b"\xff" * (4 * page) + sound[7 * page :],
        "picture.db": b"\x89PNG\r\n" * 100,
        "empty.db": b"",
    }
    before = (tmp_path / "atelier.db").read_bytes()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigurationError, match=name):
            restore(tmp_path / name, database.url, tmp_path)
    with pytest.raises(ConfigurationError, match="no backup"):
        restore(tmp_path / "absent.db", database.url, tmp_path)
    assert (tmp_path / "atelier.db").read_bytes() == before


def test_a_backup_never_writes_over_a_file_and_leaves_no_half(url: str, tmp_path: Path) -> None:
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    with pytest.raises(ConfigurationError, match="exists already"):
        backup(parse_url(url), taken)
    assert taken.read_text() == "precious"
    with pytest.raises(ConfigurationError, match="no database"):
        backup(parse_url(f"sqlite:///{tmp_path}/absent.db"), tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as foreign:
        foreign.execute("CREATE TABLE notes (text)")
    with pytest.raises(ConfigurationError, match="not a sound backup"):  # found before the copy gets its name
        backup(parse_url(f"sqlite:///{tmp_path}/foreign.db"), tmp_path / "b.db")
    (tmp_path / "scribbled.db").write_bytes(b"not a database " * 1000)
    with pytest.raises(ConfigurationError, match="could not be written"):
        backup(parse_url(f"sqlite:///{tmp_path}/scribbled.db"), tmp_path / "b.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atelier.db", "foreign.db", "scribbled.db", "taken.db"]


def lay(path: Path, *, hours_ago: float) -> Path:
    path.write_bytes(b"half")
    at = time.time() - hours_ago * 3600
    os.utime(path, (at, at))
    return path


async def test_a_half_written_backup_is_deleted(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    dead = lay(folder / "monday.db.atelier.part", hours_ago=30)
    at_work = lay(folder / "tuesday.db.atelier.part", hours_ago=1)
    foreign = lay(folder / "a download.part", hours_ago=300)
    backup(database.url, folder / "wednesday.db")
    assert not dead.exists() and at_work.exists() and foreign.exists()
    assert {path.name for path in folder.iterdir()} == {at_work.name, foreign.name, "wednesday.db"}


async def test_the_start_sweeps_the_data_folder(url: str, tmp_path: Path) -> None:
    dead = [lay(tmp_path / name, hours_ago=30) for name in ("x.db.part", "x.db.atelier.part")]
    dead += [lay(tmp_path / name, hours_ago=0) for name in ("atelier.db.atelier.part", "measured.new")]
    at_work = lay(tmp_path / "y.db.atelier.part", hours_ago=1)
    async with await Database.open(url, tmp_path):
        assert [path for path in (*dead, at_work) if path.exists()] == [at_work]


def test_a_copy_is_a_task_that_moves_while_it_grows(url: str, tmp_path: Path) -> None:
    file = Path(str(parse_url(url).database))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE large (content)")
        connection.executemany("INSERT INTO large VALUES (randomblob(4000))", [()] * 3000)
        connection.commit()
    seen: list[tuple[str, int]] = []
    with progress.watched_by(lambda task: seen.append((task.what, task.done))):
        backup(parse_url(url), tmp_path / "copy.db")
    copied = [done for what, done in seen if what == "Copying the database"]
    assert copied == sorted(copied) and len(set(copied)) > 2 and copied[-1] > 4_000_000
    assert "Checking the copy" in dict(seen)
