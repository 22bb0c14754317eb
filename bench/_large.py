"""A database with as many images as wanted, written by SQL from one real job, and what work on it costs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from bench.memory import peak_of_process
from db.engine import Database
from db.stores.jobs import JobStore
from generation.jobs.job import Image, Job, Outcome, ReplyTo, Status, new_job_id
from generation.owner import Owner
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec

GUILD, USER = 700_000_000_000_000_001, 900_000_000_000_000_001
OTHER_GUILD = GUILD + 1
NUM_WAITING, NUM_OTHERS = 10_000, 1000
_TICK_S = 0.002
_DONE, _WAITING = "f", "w"
"""What the ids of finished and of waiting jobs begin with."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`longest_write_ms`: of one writing transaction. `longest_stall_ms`: in which the event loop did nothing else;
    of its lags, 99 % are below `lag_p99_ms`. `longest_accept_ms`: until another member's request, one each tenth of a
    second, was accepted beside the work. `open_s`: to open the database before."""

    processor_s: float
    peak_mb: float
    longest_write_ms: float
    longest_stall_ms: float
    lag_p99_ms: float
    longest_accept_ms: float
    seconds: float
    open_s: float

    def __str__(self) -> str:
        return "  ".join(f"{name} {value:10.1f}" for name, value in asdict(self).items())


async def build(folder: Path, num_images: int) -> None:
    """Build so many finished jobs of one image, and 10,000 that wait; a job a minute.

    A guild has 90 % of them, one member of it 10 %, a thousand others the rest.
    """
    await asyncio.to_thread((folder / "pictures").mkdir, parents=True, exist_ok=True)
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        done, waiting = await _one(database, is_done=True), await _one(database, is_done=False)
    await asyncio.to_thread(_multiply, folder / "atelier.db", done, _DONE, num_images)
    await asyncio.to_thread(_multiply, folder / "atelier.db", waiting, _WAITING, min(num_images, NUM_WAITING))
    await asyncio.to_thread(_sum_up, folder / "atelier.db")


def _make_job(owner: Owner) -> Job:
    spec = ImageSpec(
        prompt="a lighthouse of vermilion glass above a quiet sea, early morning, wide angle, much detail",
        model="paintbox",
        width_px=512,
        height_px=512,
        steps=20,
        guidance=7.5,
        sampler="Euler a",
        seed=7,
    )
    job_id, now = new_job_id(), datetime.now(UTC)
    image = Image(job_id=job_id, index=0, spec=spec, reserved=400)
    request = GenerationRequest(spec=spec, count=1)
    return Job(id=job_id, owner=owner, request=request, created_at=now, images=(image,))


async def _one(database: Database, *, is_done: bool) -> str:
    job, until = _make_job(Owner(GUILD, USER)), datetime.now(UTC) + timedelta(minutes=14)
    [image], spec = job.images, job.request.spec
    reply = ReplyTo(application_id=1, channel_id=2, token="t" * 200, token_expires_at=until)
    store = JobStore(database)
    await store.accept(job, reply)
    if is_done:
        fingerprint = Fingerprint({f"library {number}": "1.2.3+cpu" for number in range(20)})
        recipe = Recipe(spec=spec, model_sha256="m" * 64, trace="8x20", fingerprint=fingerprint, pixels_sha256="p" * 64)
        outcome = Outcome(status=Status.DONE, charged=400, recipe=recipe, file_sha256="0" * 64)
        await store.settle(image.id, 0, outcome)
    return job.id


def name_of(number: int) -> str:
    """Return the file of the picture of that number; the oldest is 1."""
    return f"{number % 256:02x}{number:062x}"


_AT = "strftime('%Y-%m-%d %H:%M:%f000', 'now', (number - {num}) || ' minutes')"
_NEW_ID = "printf('{letter}%021d', number)"
_WHERE = f"CASE number % 10 WHEN 0 THEN {OTHER_GUILD} ELSE {GUILD} END"
_WHOSE = f"CASE number % 10 WHEN 1 THEN member_key ELSE 1 + number / 10 % {NUM_OTHERS} END"
_QUICK = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "temp_store = MEMORY")


def _multiply(file: Path, job_id: str, letter: str, num: int) -> None:
    """Put `num` copies in place of a job, one for each minute until now."""
    new_id, at = _NEW_ID.format(letter=letter), _AT.format(num=num)
    window = f"substr({at}, 1, 14) || printf('%02d', substr({at}, 15, 2) / 15 * 15) || ':00.000000'"
    changes = {
        "jobs": {"id": new_id, "created_at": at, "guild_id": _WHERE, "member_key": _WHOSE},
        "images": {
            "id": f"{new_id} || '-0'",
            "job_id": new_id,
            "ended_at": f"CASE WHEN ended_at IS NOT NULL THEN {at} END",
        },
        "image_files": {"image_id": f"{new_id} || '-0'", "sha256": "printf('%02x%062x', number % 256, number)"},
        "deliveries": {"job_id": new_id, "state": "CASE state WHEN 'live' THEN 'live' ELSE 'posted' END"},
        "ledger": {
            "id": "NULL",
            "image_id": f"{new_id} || '-0'",
            "at": at,
            "window": window,
            "guild_id": _WHERE,
            "member_key": _WHOSE,
        },
    }
    of_job = {"jobs": "id", "images": "job_id", "deliveries": "job_id"}
    of_job |= dict.fromkeys(("image_files", "ledger"), "substr(image_id, 1, 22)")
    with closing(sqlite3.connect(file)) as connection, _without_indexes(connection, changes):
        connection.execute("CREATE TEMP TABLE numbers (number INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO numbers VALUES (?)", ((number,) for number in range(1, num + 1)))
        for table, new in changes.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(new.get(column, f'"{column}"') for column in columns)
            connection.execute(f"CREATE TEMP TABLE one AS SELECT * FROM {table} WHERE {of_job[table]} = ?", (job_id,))
            connection.execute(f"INSERT INTO {table} SELECT {values} FROM numbers CROSS JOIN one")
            connection.execute("DROP TABLE one")
        connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        for table in ("image_files", "images", "deliveries"):
            connection.execute(f"DELETE FROM {table} WHERE {of_job[table]} = ?", (job_id,))
        connection.commit()


@contextmanager
def _without_indexes(connection: sqlite3.Connection, tables: Iterable[str]) -> Iterator[None]:
    """Write without the indexes of these tables, and make them after: sorting is quicker than a place for each row."""
    for pragma in _QUICK:
        connection.execute(f"PRAGMA {pragma}")
    asked = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
    indexes = [row for table in tables for row in connection.execute(asked, (table,)).fetchall()]
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, made in indexes:
        connection.execute(made)
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")


def _sum_up(file: Path) -> None:
    """Set the balances to the sums of the ledger, and give the other members their names."""
    sums = "window, SUM(num_images), SUM(reserved), SUM(used) FROM ledger GROUP BY guild_id"
    with closing(sqlite3.connect(file)) as connection:
        others = ((number, USER + number) for number in range(1, NUM_OTHERS + 1))
        connection.executemany("INSERT INTO members (key, user_id) VALUES (?, ?)", others)
        connection.execute("DELETE FROM balances")
        connection.execute(f"INSERT INTO balances SELECT guild_id, member_key, {sums}, member_key, window")
        connection.execute(f"INSERT INTO balances SELECT guild_id, 0, {sums}, window")
        connection.commit()


async def measure(folder: Path, work: Callable[[Database], Awaitable[object]]) -> Cost:
    """Measure what `work` costs this process, which should be a fresh one: its peak is the process's."""
    began = time.perf_counter()
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        open_s = time.perf_counter() - began
        writes, stalls, waits = _writes_of(database._writing), [0.0], [0.0]
        beside = [asyncio.create_task(each) for each in (_tick(stalls), _accept(database, waits))]
        await asyncio.sleep(0)
        processor, wall = time.process_time(), time.perf_counter()
        await work(database)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        await asyncio.sleep(_TICK_S)
        for each in beside:
            each.cancel()
        await asyncio.wait(beside)
    return Cost(
        processor_s=processor,
        peak_mb=_peak_mb(),
        longest_write_ms=1000 * max(writes, default=0.0),
        longest_stall_ms=1000 * max(stalls),
        lag_p99_ms=1000 * sorted(stalls)[len(stalls) * 99 // 100],
        longest_accept_ms=1000 * max(waits),
        seconds=wall,
        open_s=open_s,
    )


def _peak_mb() -> float:
    """Return the peak of this program alone where the system says so: the usual figure includes the parent process."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    of_its_own = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return of_its_own[0] if of_its_own else peak_of_process() / 2**20


async def _tick(stalls: list[float]) -> None:
    before = time.perf_counter()
    while True:
        await asyncio.sleep(_TICK_S)
        now = time.perf_counter()
        stalls.append(now - before - _TICK_S)
        before = now


async def _accept(database: Database, waits: list[float]) -> None:
    """Accept a request of another member every tenth of a second."""
    while True:
        before = time.perf_counter()
        await JobStore(database).accept(_make_job(Owner(GUILD, USER + 1)))
        waits.append(time.perf_counter() - before)
        await asyncio.sleep(0.1)


def _writes_of(engine: Engine) -> list[float]:
    """Record the seconds of every writing transaction from now on."""
    lasted: list[float] = []
    began = threading.local()

    def begin(connection: Any) -> None:
        began.at = time.perf_counter()

    def end(connection: Any) -> None:
        lasted.append(time.perf_counter() - began.at)

    event.listen(engine, "begin", begin)
    event.listen(
        engine, "commit", end
    )  # before the driver commits: what it wrote is in the log by then, but not synced
    return lasted
