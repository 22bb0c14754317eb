"""`exact --fleet`: each member's pictures, painted again on every other member of its fingerprint.

One worker of this machine and two actors of a Ray cluster on its loopback, each an engine process of its own, paint
mixed batches at once. Then every picture goes, with its trace, to every other member. Two controls must differ: the
same pictures without their traces, and with them on a member of another number format.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from bench._exact_orders import draw_orders
from bench._members import OpenMembers, open_cluster, open_local, open_over_ray
from bench._painting import open_model
from generation.jobs.ports import Worker
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed, Progress, WorkerLost
from generation.models.catalog import Model
from generation.scheduling.worker_pool import Member
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker

_RAY_MEMBERS = 2
_FORMATS = ("float32", "bfloat16")
_CONTROLS = 60
"""About so many pictures are painted once more for each control."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A picture, what it was ordered by, and who painted it."""

    member: str
    order: GenerateCommand
    result: Finished


class Painter:
    """Orders pictures of single members of a pool, and waits for them."""

    def __init__(self, members: OpenMembers) -> None:
        self._members = members
        self._ended: dict[str, asyncio.Future[Finished]] = {}
        self._numbers = itertools.count()
        self._room: dict[str, asyncio.Semaphore] = {}
        self._steps: Counter[str] = Counter()
        self._stepped = asyncio.Condition()

    @property
    def workers(self) -> dict[str, Worker]:
        """The members by name."""
        return {each.name: each.worker for each in self._members.pool.members}

    async def listen(self) -> None:
        """Take in what members report, until cancelled."""
        async for name, event in self._members.pool.events():
            if isinstance(event, Finished):
                self._ended.pop(event.image_id).set_result(event)
            elif isinstance(event, ImageFailed | WorkerLost):
                raise RuntimeError(f"{name}: {event}")
            async with self._stepped:
                self._steps[name] += isinstance(event, Progress)
                self._stepped.notify_all()

    async def paint(self, name: str, order: GenerateCommand) -> Finished:
        """Have one member paint it, beside what it paints already."""
        worker = self.workers[name]
        order = msgspec.structs.replace(order, image_id=f"image-{next(self._numbers)}")
        async with self._room.setdefault(name, asyncio.Semaphore(worker.num_slots)):
            ended: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
            self._ended[order.image_id] = ended
            await worker.admit(order)
            return await ended

    async def paint_mixed(self, name: str, batches: Sequence[Sequence[GenerateCommand]], seed: int) -> list[Painted]:
        """Have one member paint batch after batch, whose images come at random moments."""
        generator = random.Random(seed)
        painted = list[Painted]()
        for batch in batches:
            tasks = list[asyncio.Task[Finished]]()
            for order in batch:
                tasks.append(asyncio.create_task(self.paint(name, order)))
                await self._wait_for_steps(name, generator.randrange(3), tasks)
            results = await asyncio.gather(*tasks)
            painted += [Painted(name, order, result) for order, result in zip(batch, results, strict=True)]
        return painted

    async def _wait_for_steps(self, name: str, count: int, tasks: Sequence[asyncio.Task[Finished]]) -> None:
        """Wait for so many steps of a member, or until it has nothing left to step."""
        enough = self._steps[name] + count
        async with self._stepped:
            await self._stepped.wait_for(lambda: self._steps[name] >= enough or all(task.done() for task in tasks))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all members, and of the controls."""
    return asyncio.run(_measure(options))


async def _measure(options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    model = open_model(options.model)
    painted, figures = await _replay_everywhere(model, options)
    other = next(each for each in _FORMATS if each != options.dtype[0])
    async with open_local(_configure(model, other, options), 1) as members, _painting(members, 1) as painter:
        (name,) = painter.workers
        changed = await _replay(painter, [(name, each) for each in _sample(painted)])
    return figures | {"other_format": changed, "seconds": round(time.perf_counter() - started, 1)}


async def _replay_everywhere(model: Model, options: argparse.Namespace) -> tuple[list[Painted], dict[str, Any]]:
    """Paint at every member, and again at every other of its fingerprint; return the pictures and the figures."""
    config = _configure(model, options.dtype[0], options)
    here = Member(name="here", worker=LocalWorker(config))
    async with (
        open_cluster() as cluster,
        open_over_ray(cluster, config, _RAY_MEMBERS, beside=[here]) as members,
        _painting(members, _RAY_MEMBERS + 1) as painter,
    ):
        workers = painter.workers
        fingerprints = {each.fingerprint.digest for each in workers.values() if each.fingerprint is not None}
        mixed = (painter.paint_mixed(name, _draw(model, options, seed), seed) for seed, name in enumerate(workers))
        painted = [each for group in await asyncio.gather(*mixed) for each in group]
        replays = await _replay(painter, list(_pair(painted, workers)))
        untraced = await _replay(painter, list(_pair(_sample(painted), workers)), with_trace=False)
    by_member = Counter(each.member for each in painted)
    return painted, {
        "images": dict(by_member),
        "fingerprints": len(fingerprints),
        "replays": replays["images"],
        "differing": replays["differing"],
        "without_trace": untraced,
    }


def _configure(model: Model, dtype: str, options: argparse.Namespace) -> WorkerConfig:
    # The memory mode by name: `auto` looks at what is free, which other members change.
    settings = EngineSettings(dtype=dtype, num_threads=options.threads or 1, memory="full", checks_safety=False)
    return WorkerConfig(models=(model,), settings=settings)


def _draw(model: Model, options: argparse.Namespace, seed: int) -> list[list[GenerateCommand]]:
    """Return a member's batches."""
    generators = (random.Random(1000 * seed + number) for number in range(options.interleavings))
    return [list(draw_orders(model, each, options.side, with_loras=False)) for each in generators]


def _pair(painted: Iterable[Painted], workers: Mapping[str, Worker]) -> Iterator[tuple[str, Painted]]:
    """Yield every picture with every other member of its painter's fingerprint."""
    for each in painted:
        for name, worker in workers.items():
            if name != each.member and worker.fingerprint == each.result.fingerprint:
                yield name, each


def _sample(painted: Sequence[Painted]) -> Sequence[Painted]:
    return painted[:: max(1, len(painted) // _CONTROLS)]


async def _replay(painter: Painter, pairs: Sequence[tuple[str, Painted]], *, with_trace: bool = True) -> dict[str, int]:
    """Have each picture painted again by the member beside it; return how many differ."""

    async def differs(name: str, each: Painted) -> bool:
        order = msgspec.structs.replace(each.order, replay=each.result.trace) if with_trace else each.order
        return (await painter.paint(name, order)).pixels != each.result.pixels

    differing = await asyncio.gather(*(differs(*pair) for pair in pairs))
    return {"images": len(pairs), "differing": sum(differing)}


@asynccontextmanager
async def _painting(members: OpenMembers, number: int) -> AsyncIterator[Painter]:
    """Have so many members up, and their events listened to."""
    painter = Painter(members)
    async with asyncio.TaskGroup() as tasks:
        await members.pool.start()
        listening = tasks.create_task(painter.listen())
        await members.wait_until_up(number)
        yield painter
        listening.cancel()
