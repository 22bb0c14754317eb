"""Work on very many rows runs in parts: per transaction, in memory, and beside the event loop."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text

from bench import _large as large
from bench import _large_rows
from db.admin import export
from db.admin.erasure import erase_guild, erase_user, finish_erasing
from db.admin.export import MAX_PARTS
from db.admin.personal import PersonalStore
from db.admin.reconcile import MAX_NAMED, reconcile
from db.admin.removed_guilds import RemovedGuildStore
from db.batches import JOBS_AT_ONCE
from db.engine import Database
from db.models import Base
from db.stores.errors import ExportTooLargeError
from db.stores.favourites import FavouriteStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.quotas import QuotaStore
from db.stores.settings import SettingsStore
from generation.jobs.history import HistoryFilter
from generation.owner import Owner
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_recipe, a_reply, a_spec, all_of, done
from tests.stored import fetch_jobs

OTHER = USER + 1
NUM_JOBS = 2 * JOBS_AT_ONCE + 50
"""Three parts."""
ROWS_OF_A_JOB = 5
"""A job, its image, its delivery, a favourite, a report: what goes with it."""
ROWS_OF_A_WAITING_JOB = 2 + 4 * 5 + 2
"""With its delivery, made due and deleted; each of four images is settled, deleted, and posted to two balances."""


@pytest.fixture
async def many(database: Database) -> Database:
    """Create a member with more jobs than fit one part, all favourites of another member, and one job of theirs."""
    await settle(database, a_job(user=OTHER), file="of the other")
    jobs = [a_job(at=NOW + timedelta(seconds=number // 3)) for number in range(NUM_JOBS)]
    await asyncio.gather(*(settle(database, job, file=f"file {number}") for number, job in enumerate(jobs)))
    await asyncio.gather(*(FavouriteStore(database).toggle_favourite(job.id, OTHER) for job in jobs))
    return database


async def settle(database: Database, job: Any, *, file: str) -> None:
    await JobStore(database).accept(job, a_reply())
    await JobStore(database).settle(job.images[0].id, 0, done(job, file=file))


@contextmanager
def transactions(database: Database) -> Iterator[list[int]]:
    """Record how many rows each writing transaction changes meanwhile, cascades included."""
    changed: list[int] = []
    before = 0

    def total(connection: Any) -> int:
        return int(connection.connection.driver_connection.total_changes)

    def begin(connection: Any) -> None:
        nonlocal before
        before = total(connection)

    def commit(connection: Any) -> None:
        changed.append(total(connection) - before)

    event.listen(database._writing, "begin", begin)
    event.listen(database._writing, "commit", commit)
    yield changed
    event.remove(database._writing, "begin", begin)
    event.remove(database._writing, "commit", commit)


async def purge(database: Database) -> list[Any]:
    store = ModerationStore(database, clock=lambda: NOW)
    return [each async for each in store.purge(GUILD, USER, by=USER, said=str)]


async def erase_server(database: Database) -> frozenset[str]:
    await RemovedGuildStore(database, clock=lambda: NOW, grace=timedelta(0)).mark_removed(GUILD)
    return await all_of(erase_guild(database, GUILD))


async def wait_in_line(database: Database) -> None:
    """Let more of the member's pictures wait than fit one part."""
    await asyncio.gather(*(JobStore(database).accept(a_job(count=4), a_reply()) for _ in range(JOBS_AT_ONCE)))


SWEEPS: dict[str, Callable[[Database], Any]] = {
    "erasing a member": lambda database: all_of(erase_user(database, USER)),
    "erasing a server": erase_server,
    "purging a member": purge,
}
ROWS = {
    "erasing a member": 2 * ROWS_OF_A_JOB,
    "erasing a server": ROWS_OF_A_WAITING_JOB,
    "purging a member": ROWS_OF_A_JOB,
}
"""What one job takes at most."""


@pytest.mark.parametrize("name", SWEEPS)
async def test_no_transaction_grows_with_the_data(many: Database, name: str) -> None:
    await wait_in_line(many)
    with transactions(many) as changed:
        await SWEEPS[name](many)
    assert max(changed) <= ROWS[name] * JOBS_AT_ONCE
    assert sum(changed) >= NUM_JOBS
    assert (await reconcile(many)).is_exact


async def test_others_write_between_the_parts(many: Database) -> None:
    """A request that arrives after the first part does not wait for the last."""
    parts = erase_user(many, USER)
    await anext(parts)
    await JobStore(many).accept(a_job(user=OTHER))
    left = await many.read(lambda session: session.scalar(text("SELECT count(*) FROM jobs")))
    assert left > JOBS_AT_ONCE, "the rest is still there"
    await all_of(parts)


async def test_requests_during_an_erasure_are_kept(many: Database) -> None:
    parts = erase_user(many, USER)
    await anext(parts)
    later = a_job()
    await settle(many, later, file="new")
    files = await all_of(parts)
    assert len(files) == NUM_JOBS - JOBS_AT_ONCE
    assert "new" not in files
    assert [job.id for job in await fetch_jobs(JobStore(many), later.owner)] == [later.id]
    assert (await reconcile(many)).is_exact


async def test_an_erasure_that_was_cut_off_is_finished(database: Database, tmp_path: Path) -> None:
    """Also what waits: it is ended in the first transaction, so that a start in between paints and posts nothing."""
    await asyncio.gather(*(settle(database, a_job(), file=f"file {each}") for each in range(JOBS_AT_ONCE + 1)))
    due, waiting = a_job(), a_job(count=2)
    await settle(database, due, file="due")
    await JobStore(database).accept(waiting, a_reply())
    await QuotaStore(database).set_quota(GUILD, Quota(scope=Scope.USER, subject_id=USER, unit=Unit.IMAGES, limit=5))
    await anext(erase_user(database, USER))
    assert await JobStore(database).fetch_unfinished() == []
    assert await database.read(lambda s: s.scalar(text("SELECT count(*) FROM deliveries WHERE state = 'due'"))) == 0
    assert await PersonalStore(database, clock=lambda: NOW).count(USER) == (0, 0), "nothing leads to them"
    assert await all_of(finish_erasing(database))
    traces = [str(USER).encode(), USER.to_bytes(8, "big"), b"lighthouse"]
    stored = b"".join(path.read_bytes() for path in names_in(tmp_path) if path.is_file())
    assert [trace for trace in traces if trace in stored] == []
    for table in ("members", "jobs", "images", "deliveries", "quotas"):
        found = await database.read(lambda s, table=table: s.scalar(text(f"SELECT count(*) FROM {table}")))
        assert found == 0, table
    assert await all_of(finish_erasing(database)) == frozenset()
    assert (await reconcile(database)).is_exact


async def test_every_column_that_names_a_member_forgets_them(database: Database) -> None:
    """Whatever table names a member: by its own index, a part at a time."""
    with closing(sqlite3.connect(str(database.url.database))) as connection:
        for table in Base.metadata.sorted_tables:
            for key in table.foreign_keys:
                where = f"{key.parent.name} = 1"
                plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table.name} WHERE {where}").fetchall()
                assert "SEARCH" in plan[0][3], f"{table.name}.{key.parent.name}: {plan}"


async def test_a_returning_server_keeps_its_remaining_data(many: Database) -> None:
    removed_guilds = RemovedGuildStore(many, clock=lambda: NOW, grace=timedelta(0))
    await SettingsStore(many).change(GUILD, lambda _old: GuildSettings(guild_id=GUILD, weight=5))
    await removed_guilds.mark_removed(GUILD)
    parts = removed_guilds.erase(GUILD)
    await anext(parts)
    await removed_guilds.mark_returned({GUILD})
    assert await all_of(parts) == frozenset()
    assert not await removed_guilds.is_gone(GUILD)
    assert (await SettingsStore(many).fetch(GUILD)).weight == 5
    assert (await reconcile(many)).is_exact


# Giving a person what is kept of them.


def names_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def exported(database: Database, part_bytes: int) -> dict[str, bytes]:
    parts = await PersonalStore(database, clock=lambda: NOW).export(USER, part_bytes=part_bytes)
    found = {}
    for part in parts:
        with part.file:
            part.file.seek(0)
            found[part.name] = part.file.read()
    return found


async def talkative(database: Database, number: int) -> None:
    """Create jobs whose words cannot be compressed."""
    words = Random(1)
    prompts = [
        "".join(words.choice("abcdefghijklmnopqrstuvwxyz0123456789 ") for _ in range(900)) for _ in range(number)
    ]
    await asyncio.gather(*(settle(database, a_job(spec=a_spec(prompt=prompt)), file="same") for prompt in prompts))


@on_both
async def test_a_little_is_one_file_to_read(database: Database) -> None:
    await talkative(database, 3)
    (data,) = (await exported(database, 2**20)).values()
    read = json.loads(data)
    assert read["discord_user_id"] == USER
    assert len(read["tables"]["jobs"]) == len(read["tables"]["images"]) == 3
    assert read["tables"]["images"][0]["recipe"]["trace"] == a_recipe(a_spec()).trace
    assert "interaction-token" not in data.decode()
    assert json.loads((await exported(database, 2**20))["my-data.json"]) == read


@on_both
async def test_a_member_without_data_gets_an_empty_export(database: Database) -> None:
    (data,) = (await exported(database, 2**20)).values()
    assert json.loads(data) == {"discord_user_id": USER, "tables": {}}


@pytest.fixture
def small_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use parts of some kilobytes, so that a few jobs fill many."""
    monkeypatch.setattr(export, "_MARGIN", 2**14)


@pytest.mark.usefixtures("small_margin")
async def test_more_is_several_files_each_of_which_is_read_alone(database: Database) -> None:
    await talkative(database, 150)
    whole = json.loads((await exported(database, 2**24))["my-data.json"])["tables"]
    parts = await exported(database, 80_000)
    assert 1 < len(parts) <= MAX_PARTS
    together: dict[str, list[Any]] = {}
    for name, data in parts.items():
        assert len(data) <= 80_000
        assert name.endswith(".zip")
        with zipfile.ZipFile(io.BytesIO(data)) as unpacking:
            (inside,) = unpacking.namelist()
            for table, rows in json.loads(unpacking.read(inside))["tables"].items():
                together.setdefault(table, []).extend(rows)
    assert together == whole


@pytest.mark.usefixtures("small_margin")
async def test_more_than_can_be_sent_is_said_and_leaves_nothing(database: Database, tmp_path: Path) -> None:
    await talkative(database, 100)
    before = names_in(tmp_path)
    with pytest.raises(ExportTooLargeError):
        await exported(database, 6_000)
    assert names_in(tmp_path) == before


# Long reads.


async def test_long_reads_are_beside_the_event_loop(many: Database) -> None:
    """No row is made a value on the event loop's thread."""
    loop_thread, there = threading.get_ident(), []

    def ran(*_: Any) -> None:
        there.append(threading.get_ident())

    event.listen(many._apart, "before_cursor_execute", ran)
    await PersonalStore(many, clock=lambda: NOW).export(USER, part_bytes=2**20)
    await HistoryStore(many).fetch_page(Owner(GUILD, USER), HistoryFilter(words="nothing has this"), limit=10)
    await JobStore(many).fetch_unfinished()
    await reconcile(many)
    assert len(there) > 10
    assert loop_thread not in there


async def use(database: Database) -> None:
    await reconcile(database)
    for part in await PersonalStore(database, clock=lambda: NOW).export(_large_rows.USER, part_bytes=2**20):
        part.file.close()


async def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Reconciliation and an export of ten times as many jobs take less than twice the memory."""
    peaks: list[Any] = []
    for number in (2000, 2000, 20_000):  # the first time also for what is made once
        folder = tmp_path / f"{len(peaks)} of {number}"
        url = f"sqlite:///{folder / 'atelier.db'}"
        await large.build(url, folder, number)
        async with await Database.open(url, folder) as database:
            tracemalloc.start()
            await use(database)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < 2 * peaks[1]


async def test_a_ledger_full_of_differences_is_repaired_in_parts(many: Database) -> None:
    def spoil(session: Any) -> None:
        session.execute(text("UPDATE images SET charged = charged + 1 WHERE status = 'done'"))
        session.execute(text("UPDATE balances SET used = used + 7"))

    await many.write(spoil)
    found = await reconcile(many)
    assert len(found.postings) == NUM_JOBS + 1
    assert found.number == len(found.postings) + len(found.balances)
    with transactions(many) as changed:
        assert (await reconcile(many, repair=True)).number == found.number
    assert len(changed) > 1
    assert (await reconcile(many)).is_exact


async def test_the_first_of_many_differences_are_named(many: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.admin.reconcile.MAX_NAMED", 10)
    monkeypatch.setattr("db.admin.reconcile._PASS", 7)
    await many.write(lambda session: session.execute(text("UPDATE images SET charged = charged + 1")))
    found = await reconcile(many, repair=True)
    assert (len(found.postings), found.number) == (10, NUM_JOBS + 1)
    assert MAX_NAMED > 10
    assert (await reconcile(many)).is_exact
