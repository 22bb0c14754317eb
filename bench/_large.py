"""A database with as many images as wanted, written by SQL from one real job, and what work on it costs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from bench._large_rows import GUILD, USER, fill
from bench.memory import peak_of_process
from db.engine import Database
from db.stores.jobs import JobStore
from generation.jobs.job import Image, Job, Outcome, ReplyTo, Status, new_job_id
from generation.owner import Owner
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec

NUM_WAITING = 10_000
_TICK_S = 0.002
_DONE, _WAITING = "f", "w"
"""What the ids of finished and of waiting jobs begin with."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`server_s`: processor time of a server's processes. `longest_write_ms`: of one writing transaction, by the clock;
    `longest_write_cpu_ms` of its processor time. `longest_stall_ms`: in which the event loop did nothing else; of its
    lags, 99 % are below `lag_p99_ms`. `longest_accept_ms`: until another member's request, one each tenth of a second,
    was accepted beside the work; 99 % within `accept_p99_ms`. `open_s`: to open the database before."""

    processor_s: float
    server_s: float
    peak_mb: float
    longest_write_ms: float
    longest_write_cpu_ms: float
    longest_stall_ms: float
    lag_p99_ms: float
    longest_accept_ms: float
    accept_p99_ms: float
    seconds: float
    open_s: float

    def __str__(self) -> str:
        return "  ".join(f"{name} {value:10.1f}" for name, value in asdict(self).items())


async def build(url: str, folder: Path, num_images: int) -> None:
    """Build so many finished jobs of one image, and 10,000 that wait; a job a minute.

    A guild has 90 % of them, one member of it 10 %, a thousand others the rest. Every tenth has an upload.
    """
    await asyncio.to_thread((folder / "pictures").mkdir, parents=True, exist_ok=True)
    async with await Database.open(url, folder) as database:
        done, waiting = await _one(database, is_done=True), await _one(database, is_done=False)
    await asyncio.to_thread(fill, url, {_DONE: (done, num_images), _WAITING: (waiting, min(num_images, NUM_WAITING))})


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


async def measure(url: str, folder: Path, work: Callable[[Database], Awaitable[object]]) -> Cost:
    """Measure what `work` costs this process, which should be a fresh one: its peak is the process's."""
    began = time.perf_counter()
    async with await Database.open(url, folder) as database:
        open_s = time.perf_counter() - began
        (writes, of_processor), stalls, waits = _writes_of(database._writing), [0.0], [0.0]
        server = find_server(url)
        server_s = _server_s(server)
        beside = [asyncio.create_task(each) for each in (_tick(stalls), _accept(database, waits))]
        await asyncio.sleep(0)
        processor, wall = time.process_time(), time.perf_counter()
        await work(database)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        server_s = _server_s(server) - server_s
        await asyncio.sleep(_TICK_S)
        for each in beside:
            each.cancel()
        await asyncio.wait(beside)
    return Cost(
        processor_s=processor,
        server_s=server_s,
        peak_mb=_peak_mb(),
        longest_write_ms=1000 * max(writes, default=0.0),
        longest_write_cpu_ms=1000 * max(of_processor, default=0.0),
        longest_stall_ms=1000 * max(stalls),
        lag_p99_ms=1000 * sorted(stalls)[len(stalls) * 99 // 100],
        longest_accept_ms=1000 * max(waits),
        accept_p99_ms=1000 * sorted(waits)[len(waits) * 99 // 100],
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


def find_server(url: str) -> psutil.Process | None:
    """Return the server's first process, None for a file."""
    folder = make_url(url).query.get("host")
    if not isinstance(folder, str):
        return None
    return psutil.Process(int((Path(folder) / "data" / "postmaster.pid").read_text().split()[0]))


def _server_s(server: psutil.Process | None) -> float:
    """Return the processor time of the server's processes that live."""
    return 0.0 if server is None else sum(sum(each.cpu_times()[:2]) for each in server.children())


def _writes_of(engine: Engine) -> tuple[list[float], list[float]]:
    """Record the seconds of every writing transaction from now on, and those of its thread's processor time."""
    lasted, cost = list[float](), list[float]()
    began = threading.local()

    def begin(connection: Any) -> None:
        began.at = time.perf_counter(), time.thread_time()

    def end(connection: Any) -> None:
        lasted.append(time.perf_counter() - began.at[0])
        cost.append(time.thread_time() - began.at[1])

    event.listen(engine, "begin", begin)
    event.listen(
        engine, "commit", end
    )  # before the driver commits: what it wrote is in the log by then, but not synced
    return lasted, cost
