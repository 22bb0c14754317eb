"""Measures whether several workers paint as many times more: the real service, queue, database, files and processes.

Only painting is not real: every worker takes 50 ms for a forward of four images. For each number of `--members` the
same crowd of guilds has pictures waiting; counted are those that end between a fifth and four fifths of the way.

Keys: `members` by number: `pictures_per_s`, `of_linear` (over that many times a single worker's), `bot_cpu_ms` (of the
bot's process, for a picture). Ends with 1 if any `of_linear` is below 0.95.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import linear_regression

from bench.light_engine import LightEngine
from db.engine import Database
from db.stores.jobs import JobStore
from generation.images.store import ImageFiles
from generation.jobs.job import Job
from generation.jobs.protocol import Event
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker

STEP_S = 0.05
STEPS = 20
LEAST_OF_LINEAR = 0.95
_SPEC = ImageSpec(
    prompt="x", model="paintbox", width_px=256, height_px=256, steps=STEPS, guidance=1.0, sampler="Euler", seed=1
)


class SteadyEngine(LightEngine):
    """Takes the same time for every forward, however busy the machine is: until the next is due."""

    _due_s = 0.0

    def step(self) -> list[Event]:
        now_s = time.monotonic()
        self._due_s = (self._due_s if now_s - self._due_s < STEP_S else now_s) + STEP_S
        threading.Event().wait(self._due_s - now_s)
        return super().step()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench fleet", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="workers, one run each")
    parser.add_argument("--pictures", type=int, default=60, help="for each worker")
    options = parser.parse_args(argv)
    figures: dict[str, dict[str, float]] = {}
    for number in sorted(options.members):
        figures[str(number)] = asyncio.run(measure(number, options.pictures))
        first = next(iter(figures))
        alone = figures[first]["pictures_per_s"] / int(first)
        figures[str(number)]["of_linear"] = round(figures[str(number)]["pictures_per_s"] / (number * alone), 3)
        if not options.json:
            print(f"{number} workers: {figures[str(number)]}", file=sys.stderr, flush=True)
    print(json.dumps({"members": figures}))
    return int(any(each["of_linear"] < LEAST_OF_LINEAR for each in figures.values()))


async def measure(num_members: int, pictures_each: int) -> dict[str, float]:
    """Paint a crowd's pictures with so many workers; return the rate, and the bot's processor time a picture."""
    catalog = Catalog.open("paintbox")
    pool = WorkerPool(build_members(num_members, catalog))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with await Database.open(f"sqlite:///{home / 'atelier.db'}", home) as database:
            queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
            service = GenerationService(
                pool=pool, store=JobStore(database), files=ImageFiles(home / "pictures"), catalog=catalog, queue=queue
            )
            running = asyncio.create_task(service.run())
            try:
                await _wait_until_up(pool)
                return await _paint(service, pictures_each * num_members)
            finally:
                running.cancel()
                await asyncio.wait((running,))
                await pool.close()


def build_members(number: int, catalog: Catalog) -> list[Member]:
    """Return local workers with a steady engine each."""
    settings = EngineSettings(num_threads=1, num_slots=5)
    config = WorkerConfig(models=catalog.models, engine="bench.fleet:SteadyEngine", settings=settings, nice=0)
    return [Member(name=f"worker {index}", worker=LocalWorker(config)) for index in range(number)]


async def _wait_until_up(pool: WorkerPool) -> None:
    async with asyncio.timeout(600):
        while not all(each.worker.num_slots for each in pool.members):  # noqa: ASYNC110 - the service has the events
            await asyncio.sleep(0.05)


async def _paint(service: GenerationService, num_pictures: int) -> dict[str, float]:
    cpu_s, ended_s = time.process_time(), list[float]()

    async def see(job: Job) -> None:
        await service.finished(job.id)
        ended_s.append(time.perf_counter())

    jobs = [
        await service.submit(GenerationRequest(spec=replace(_SPEC, seed=seed)), Owner(seed % 10, seed % 50))
        for seed in range(num_pictures)
    ]
    await asyncio.gather(*(see(job) for job in jobs))
    return {
        "pictures_per_s": round(_rate(ended_s), 3),
        "bot_cpu_ms": round(1000 * (time.process_time() - cpu_s) / num_pictures, 1),
    }


def _rate(ended_s: Sequence[float]) -> float:
    """Return pictures a second between a fifth and four fifths of them: the slope, since they end by fours."""
    middle = sorted(ended_s)[len(ended_s) // 5 : -(len(ended_s) // 5)]
    return linear_regression(middle, range(len(middle))).slope
