"""Measures how many requests a second a bot can keep, on SQLite and PostgreSQL side by side.

Both databases are real and durable: a SQLite file, and a PostgreSQL server of the run's own (`initdb` in a temporary
folder, a Unix socket, `fsync` on). Their rounds alternate, and each figure is the median of the rounds. An accept
writes the job, its image, its reservation and its delivery in one transaction, as each `/imagine` does.

Keys, for `sqlite_` and `postgresql_`: `accept_p50_ms` and `accept_p99_ms`, one after another; `accepts_per_s`, 64 at
once; `accept_cpu_ms`, this process's processor time for each of those, and `server_cpu_ms`, the server's;
`accept_statements`, round trips to the database for one accept alone; `claims_per_s`, all that wait at once. Then the
ratios `accepts_ratio` and `cpu_ratio` of PostgreSQL to SQLite, and `load`, the machine's at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy import event

from bench.ack import percentile
from db.engine import Database
from db.stores.jobs import JobStore
from generation.jobs.job import Image, Job, ReplyTo, new_job_id
from generation.owner import Owner
from generation.requests.cost import image_cost
from generation.requests.spec import GenerationRequest, ImageSpec
from tests import postgres

AT_ONCE, GUILDS, MEMBERS = 64, 50, 200
SPEC = ImageSpec(
    prompt="a red circle on a blue background",
    model="paintbox",
    width_px=64,
    height_px=64,
    steps=4,
    guidance=4.0,
    sampler="Euler",
    seed=7,
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench accepts", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--requests", type=int, default=1000, help="in a round, of each kind and database")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    figures = asyncio.run(measure(options.requests, options.rounds))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:28} {value:10.2f}")
    print(json.dumps(figures))
    return 0


async def measure(num_requests: int, num_rounds: int) -> dict[str, float]:
    """Measure both databases in turns."""
    load = os.getloadavg()[0]
    rounds: dict[str, list[dict[str, float]]] = {"sqlite": [], "postgresql": []}
    with ExitStack() as stack:
        server = stack.enter_context(postgres.serve(durable=True))
        urls = {}
        for name in rounds:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            urls[name] = folder, (f"sqlite:///{folder / 'atelier.db'}" if name == "sqlite" else server.create())
        for _ in range(num_rounds):
            for name, (folder, url) in urls.items():
                async with _opened(url, folder, server) as place:
                    rounds[name].append(await _run(place, num_requests))
    figures = {
        f"{name}_{key}": statistics.median(each[key] for each in found)
        for name, found in rounds.items()
        for key in found[0]
    }
    for ratio, key in (("accepts_ratio", "accepts_per_s"), ("cpu_ratio", "accept_cpu_ms")):
        figures[ratio] = figures[f"postgresql_{key}"] / figures[f"sqlite_{key}"]
    return {name: round(value, 3) for name, value in (figures | {"load": load}).items()}


@dataclass
class Place:
    """An open database, and the server that may run it."""

    database: Database
    server: psutil.Process | None
    statements: int = 0

    def server_s(self) -> float:
        """Return the processor time of the server's processes that live."""
        return 0.0 if self.server is None else sum(sum(each.cpu_times()[:2]) for each in self.server.children())


@asynccontextmanager
async def _opened(url: str, folder: Path, server: postgres.Server) -> AsyncIterator[Place]:
    async with await Database.open(url, folder) as database:
        place = Place(database, psutil.Process(server.pid) if url.startswith("postgresql") else None)

        def count(*_: object) -> None:
            place.statements += 1

        for name in ("before_cursor_execute", "begin", "commit", "savepoint", "release_savepoint"):
            event.listen(database.backend.writing, name, count)
        yield place


async def _run(place: Place, num_requests: int) -> dict[str, float]:
    store = JobStore(place.database)
    jobs = iter(_make_jobs(2 * num_requests + AT_ONCE))
    for job in itertools.islice(jobs, AT_ONCE):  # what is done once is done by then
        await store.accept(job, _REPLY)
    place.statements = 0
    times_ms = [await _timed_ms(store, job) for job in itertools.islice(jobs, num_requests)]
    statements = place.statements / num_requests
    crowd = list(jobs)
    began_s, cpu_s, server_s = time.perf_counter(), time.process_time(), place.server_s()
    await _all_at_once(store, crowd)
    took_s = time.perf_counter() - began_s
    cpu_s, server_s = time.process_time() - cpu_s, place.server_s() - server_s
    images = [image for job in crowd for image in job.images]
    began_s = time.perf_counter()
    await asyncio.gather(*(store.claim(image.id) for image in images))
    return {
        "accept_p50_ms": percentile(times_ms, 50),
        "accept_p99_ms": percentile(times_ms, 99),
        "accepts_per_s": len(crowd) / took_s,
        "accept_cpu_ms": 1000 * cpu_s / len(crowd),
        "server_cpu_ms": 1000 * server_s / len(crowd),
        "accept_statements": statements,
        "claims_per_s": len(images) / (time.perf_counter() - began_s),
    }


async def _timed_ms(store: JobStore, job: Job) -> float:
    began_s = time.perf_counter()
    await store.accept(job, _REPLY)
    return 1000 * (time.perf_counter() - began_s)


async def _all_at_once(store: JobStore, jobs: Sequence[Job]) -> None:
    """Keep `AT_ONCE` requests under way until all are accepted."""
    left = iter(jobs)

    async def accept_some() -> None:
        for job in left:
            await store.accept(job, _REPLY)

    await asyncio.gather(*(accept_some() for _ in range(AT_ONCE)))


_REPLY = ReplyTo(
    application_id=1,
    channel_id=222,
    token="t" * 180,
    token_expires_at=datetime.now(UTC) + timedelta(minutes=14),
    locale="en-US",
    is_private=False,
)


def _make_jobs(number: int) -> list[Job]:
    """Return jobs of a crowd of members in some servers, a picture each."""
    now, request = datetime.now(UTC), GenerationRequest(spec=SPEC, count=1)
    found = []
    for index in range(number):
        job_id, owner = new_job_id(), Owner(1 + index % GUILDS, 1 + index % MEMBERS)
        images = tuple(
            Image(job_id=job_id, index=place, spec=one, reserved=image_cost(one))
            for place, one in enumerate(request.images())
        )
        found.append(Job(id=job_id, owner=owner, request=request, created_at=now, images=images))
    return found
