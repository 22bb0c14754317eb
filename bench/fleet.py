"""Measures whether several workers paint as many times more: the real service, queue, database, files and processes.

Only painting is not real: every worker takes 50 ms for a forward of four images. For each number of `--members` the
same crowd of guilds has pictures waiting; counted are those that end between a fifth and four fifths of the way.

`--ray` measures each number twice, one right after the other: with workers of this machine, and with as many actors of
a Ray cluster on its loopback, behind a driver process.

Keys: `members` by number: `pictures_per_s`, `of_linear` (over that many times a single worker's), `bot_cpu_ms` (of the
bot's process, for a picture). With `--ray`, `ray` holds the same by number and `driver_cpu_ms`, and `of_local` says by
number what Ray's figures are over local ones: `pictures_per_s` and `bot_cpu_ms`; `bot_cpu_of_local` is that of all
pictures together. Ends with 1 if any `of_linear` is below 0.95, or `bot_cpu_of_local` above 1.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import linear_regression
from typing import Any

from bench._members import OpenMembers, open_cluster, open_local, open_over_ray
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
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import WorkerConfig

STEP_S = 0.05
STEPS = 20
LEAST_OF_LINEAR = 0.95
MOST_BOT_CPU_OF_LOCAL = 1.1
_WARM_UP = 10
"""Pictures that count for nothing."""
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


@dataclass(frozen=True, slots=True)
class Run:
    """What some members painted, and what that took."""

    members: int
    pictures: int
    pictures_per_s: float
    bot_cpu_s: float
    driver_cpu_s: float

    def describe(self, alone_per_s: float) -> dict[str, float]:
        """Return the figures; `alone_per_s` is what a single member of the kind paints."""
        figures = {
            "pictures_per_s": round(self.pictures_per_s, 3),
            "of_linear": round(self.pictures_per_s / (self.members * alone_per_s), 3),
            "bot_cpu_ms": round(1000 * self.bot_cpu_s / self.pictures, 1),
        }
        if self.driver_cpu_s:
            figures["driver_cpu_ms"] = round(1000 * self.driver_cpu_s / self.pictures, 1)
        return figures


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench fleet", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="workers, one run each")
    parser.add_argument("--pictures", type=int, default=60, help="for each worker")
    parser.add_argument("--ray", action="store_true", help="the same over Ray too")
    options = parser.parse_args(argv)
    figures = asyncio.run(measure(options))
    misses = list(_list_misses(figures))
    if not options.json:
        print("\n".join(misses), file=sys.stderr)
    print(json.dumps(figures))
    return int(bool(misses))


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every number of members, locally and over Ray in turn; return the figures."""
    settings = EngineSettings(num_threads=1, num_slots=5)
    config = WorkerConfig(
        models=Catalog.open("paintbox").models, engine="bench.fleet:SteadyEngine", settings=settings, nice=0
    )
    local, over_ray = list[Run](), list[Run]()
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(open_cluster()) if options.ray else None
        # What is imported and compiled at the first picture is neither side's.
        await paint_with(open_local(config, 1), 1, _WARM_UP)
        if cluster is not None:
            await paint_with(open_over_ray(cluster, config, 1), 1, _WARM_UP)
        for number in sorted(options.members):
            local.append(await paint_with(open_local(config, number), number, options.pictures))
            _tell(options, local[-1])
            if cluster is not None:
                over_ray.append(await paint_with(open_over_ray(cluster, config, number), number, options.pictures))
                _tell(options, over_ray[-1])
    figures: dict[str, Any] = {"members": _describe(local)}
    return figures | {"ray": _describe(over_ray), **_compare(local, over_ray)} if over_ray else figures


def _tell(options: argparse.Namespace, run: Run) -> None:
    if not options.json:
        print(run, file=sys.stderr, flush=True)


async def paint_with(opening: AbstractAsyncContextManager[OpenMembers], num_members: int, pictures_each: int) -> Run:
    """Paint a crowd's pictures with these members."""
    catalog = Catalog.open("paintbox")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with opening as members, await Database.open(f"sqlite:///{home / 'atelier.db'}", home) as database:
            queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
            files = ImageFiles(home / "pictures")
            service = GenerationService(
                pool=members.pool, store=JobStore(database), files=files, catalog=catalog, queue=queue
            )
            running = asyncio.create_task(service.run())
            try:
                await members.wait_until_up(num_members)
                return await _paint(service, members, num_members, pictures_each * num_members)
            finally:
                running.cancel()
                await asyncio.wait((running,))
                await members.pool.close()


async def _paint(service: GenerationService, members: OpenMembers, num_members: int, num_pictures: int) -> Run:
    cpu_s, driver_s, ended_s = time.process_time(), members.read_driver_s(), list[float]()

    async def see(job: Job) -> None:
        await service.finished(job.id)
        ended_s.append(time.perf_counter())

    jobs = [
        await service.submit(GenerationRequest(spec=replace(_SPEC, seed=seed)), Owner(seed % 10, seed % 50))
        for seed in range(num_pictures)
    ]
    await asyncio.gather(*(see(job) for job in jobs))
    return Run(
        members=num_members,
        pictures=num_pictures,
        pictures_per_s=_rate(ended_s),
        bot_cpu_s=time.process_time() - cpu_s,
        driver_cpu_s=members.read_driver_s() - driver_s,
    )


def _rate(ended_s: Sequence[float]) -> float:
    """Return pictures a second between a fifth and four fifths of them: the slope, since they end by fours."""
    middle = sorted(ended_s)[len(ended_s) // 5 : -(len(ended_s) // 5)]
    return linear_regression(middle, range(len(middle))).slope


def _describe(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return the figures by number of members."""
    alone_per_s = runs[0].pictures_per_s / runs[0].members
    return {str(each.members): each.describe(alone_per_s) for each in runs}


def _compare(local: Sequence[Run], over_ray: Sequence[Run]) -> dict[str, Any]:
    """Return what Ray's figures are over the local ones."""
    pairs = list(zip(local, over_ray, strict=True))
    return {
        "of_local": {
            str(here.members): {
                "pictures_per_s": round(there.pictures_per_s / here.pictures_per_s, 3),
                "bot_cpu_ms": round(there.bot_cpu_s / here.bot_cpu_s, 3),
            }
            for here, there in pairs
        },
        "bot_cpu_of_local": round(sum(each.bot_cpu_s for each in over_ray) / sum(each.bot_cpu_s for each in local), 3),
    }


def _list_misses(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what is not as it has to be."""
    for over, by_number in (("local", figures["members"]), ("Ray", figures.get("ray", {}))):
        for number, each in by_number.items():
            if each["of_linear"] < LEAST_OF_LINEAR:
                yield f"{number} workers, {over}: {each['of_linear']} of linear"
    if figures.get("bot_cpu_of_local", 0) > MOST_BOT_CPU_OF_LOCAL:
        yield f"the bot's processor time over Ray is {figures['bot_cpu_of_local']} of the local"
