"""`steady`: checks that the worker's memory stays flat under an hour of mixed load.

A real worker process with the built-in model serves a closed loop of users who mix sizes, samplers, steps, start
pictures, outpaint, hires fix, enlargements and previews; one request in ten is cancelled on its way. The process's
memory is read every second; a minute counts with its median.

    python -m bench steady [--json] [--minutes 60] [--users 8] [--model paintbox] [--curve memory.csv]

Keys: `growth`, the last tenth of the run over the first after the warm-up (a tenth, at least a minute, at most ten),
less one; `spread`, the largest less the smallest minute over the median; `images`, `lost` (workers lost), `curve_mb`
by minute. Ends with status 1 if memory grew by more than 5 %, or a worker was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from generation.images.codec import encode_png
from generation.jobs.protocol import Cancel, Cancelled, Finished, GenerateCommand, ImageFailed, Ready, Share, WorkerLost
from generation.requests.edits import Hires, Margins, StartImage, Upscale
from generation.requests.samplers import SAMPLERS
from generation.requests.spec import ImageSpec

if TYPE_CHECKING:
    from generation.models.catalog import Model
    from generation.workers.local import LocalWorker

_MB = 2**20
_MOST_GROWTH = 0.05
_FILE = "0" * 64


def main(argv: list[str]) -> int:
    options = _parse(argv)
    report = asyncio.run(_run(options))
    if options.curve:
        lines = [f"{minute},{value}" for minute, value in enumerate(report["curve_mb"])]
        Path(options.curve).write_text("\n".join(["minute,mb", *lines]) + "\n")
    if not options.json:
        print(f"{report['images']} images; memory {report['curve_mb'][-1]} MB, growth {report['growth']:+.1%}")
    print(json.dumps(report))
    return 1 if report["growth"] > _MOST_GROWTH or report["lost"] else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench steady")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--model", default="paintbox")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curve", help="also write the curve to this file, as CSV")
    return parser.parse_args(argv)


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    from bench._painting import open_model
    from generation.workers.frames import WorkerConfig
    from generation.workers.local import LocalWorker

    model = open_model(options.model)
    worker = LocalWorker(WorkerConfig(models=(model,)), close_s=60.0)
    load = Load(worker, model, options)
    await worker.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(load.watch())
            await load.serve()
            watch.cancel()
    finally:
        await worker.close()
    return load.report()


class Load:
    """The users, and observations of the worker."""

    def __init__(self, worker: LocalWorker, model: Model, options: argparse.Namespace) -> None:
        self._worker, self._model, self._options = worker, model, options
        self._random = random.Random(options.seed)
        self._num_asked = 0
        self._images = self._lost = 0
        self._samples: list[tuple[float, int]] = []
        self._started = 0.0

    async def serve(self) -> None:
        """Keep every user waiting for a picture until the time is over."""
        async for event in self._worker.events():
            if isinstance(event, Ready):
                self._started = self._started or time.monotonic()
                for user in range(self._options.users):
                    await self._ask(user)
            elif isinstance(event, WorkerLost):
                self._lost += 1
            elif isinstance(event, ImageFailed):
                raise RuntimeError(event.message)
            elif isinstance(event, Finished | Cancelled):
                self._images += isinstance(event, Finished)
                if self._is_over:
                    return
                await self._ask(int(event.image_id.partition("-")[0]))

    async def watch(self) -> None:
        """Read the worker's memory every second."""
        while True:
            await asyncio.sleep(1.0)
            if self._started and self._worker.pid is not None:
                seen = psutil.Process(self._worker.pid).memory_info().rss
                self._samples.append((time.monotonic() - self._started, seen))

    def report(self) -> dict[str, Any]:
        minutes: dict[int, list[int]] = {}
        for at_s, seen in self._samples:
            minutes.setdefault(int(at_s // 60), []).append(seen)
        curve = [round(statistics.median(seen) / _MB, 1) for _, seen in sorted(minutes.items())]
        warm = curve[min(10, max(1, len(curve) // 10)) :] or curve
        tenth = max(1, len(warm) // 10)
        first, last = statistics.median(warm[:tenth]), statistics.median(warm[-tenth:])
        return {
            "growth": round(last / first - 1, 4),
            "spread": round((max(warm) - min(warm)) / statistics.median(warm), 4),
            "images": self._images,
            "lost": self._lost,
            "minutes": self._options.minutes,
            "curve_mb": curve,
        }

    @property
    def _is_over(self) -> bool:
        minutes: float = self._options.minutes
        return time.monotonic() - self._started > 60 * minutes

    async def _ask(self, user: int) -> None:
        self._num_asked += 1
        image_id = f"{user}-{self._num_asked}"
        await self._worker.admit(an_order_of_any_kind(self._model, image_id, user, self._random))
        if self._random.random() < 0.1:
            await self._worker.cancel(Cancel(image_id=image_id, attempt=1))


def an_order_of_any_kind(model: Model, image_id: str, user: int, chance: random.Random) -> GenerateCommand:
    """Return a random command: words alone mostly, else a start picture, outpaint, hires fix or an upscale."""
    native = model.defaults.native_px
    width, height = chance.choice(list(model.shapes().values()))
    kinds: dict[str, dict[str, Any]] = {
        "words": {},
        "start": {"start": StartImage(sha256=_FILE, strength=0.6)},
        "outpaint": {"start": StartImage(sha256=_FILE, strength=1.0, margins=Margins(left=native // 4))},
        "hires": {"hires": Hires(factor=1.5)},
        "enlarged": {"upscale": Upscale(sha256=_FILE)},
    }
    kind = chance.choices(list(kinds), weights=(10, 3, 2, 1, 1))[0]
    spec = ImageSpec(
        prompt=" ".join(
            chance.choices(("a", "red", "blue", "circle", "square", "on", "green"), k=chance.randint(1, 90))
        ),
        model=model.name,
        width_px=width,
        height_px=height,
        steps=chance.randint(4, 20),
        guidance=chance.choice((1.0, 4.0, 7.0)),
        sampler=chance.choice(list(SAMPLERS)),
        seed=chance.randrange(2**32),
        **kinds[kind],
    )
    size_px = spec.start_size_px
    picture = encode_png(chance.randbytes(3 * size_px[0] * size_px[1]), size_px) if spec.start or spec.upscale else None
    return GenerateCommand(
        image_id=image_id,
        attempt=1,
        spec=spec,
        share=Share(user % 3, user_id=user),
        num_previews=chance.choice((0, 2)),
        start_png=picture,
    )
