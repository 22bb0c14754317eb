"""Measures one fair decision with 1,000 guilds and 10,000 waiting images, beside a plain heap.

Steady state: every pick is settled and a new image takes its place. The plain heap (oldest first, what a FIFO with
priorities would be) does the same work in the same run, its turns interleaved with ours.

Then what people read of such a line: the places and waits of all, worked out once, and the view of one job.

Keys: `pick_p50_us`, `pick_p99_us`, `settle_p99_us`, `push_p99_us`, `cancel_p99_us`; `heap_pick_p99_us`, `ratio_p50`;
`bytes_per_waiting`, `heap_bytes_per_waiting`; `places_ms` (the best of five), `view_p50_us`, `view_p99_us`;
`bytes_per_job`: all that the scheduler holds of a waiting job of one image, its request and its place in line.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from generation.jobs.job import Image, Job, new_job_id
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.active_jobs import ActiveJob, ActiveJobs
from generation.scheduling.dispatcher import make_waiting
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_estimates import Station, WaitEstimates

T = TypeVar("T")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench queue", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--guilds", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--picks", type=int, default=20_000)
    options = parser.parse_args(argv)
    figures = _measure(options.guilds, options.waiting, options.picks)
    figures |= asyncio.run(_measure_views(options.guilds, options.waiting))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value:10.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


def _measure(num_guilds: int, num_waiting: int, num_picks: int) -> dict[str, float]:
    chance = random.Random(1)
    images = [_image(number, chance, num_guilds) for number in range(num_waiting + num_picks)]
    queue, queue_bytes = _filled(lambda: _fair(images[:num_waiting]))
    heap, heap_bytes = _filled(lambda: _heap(images[:num_waiting]))
    gc.collect()
    gc.disable()
    times: dict[str, list[float]] = {name: [] for name in ("pick", "settle", "push", "cancel", "heap_pick")}
    for waiting in images[num_waiting:]:
        picked = _timed(times["pick"], queue.pick)
        assert picked is not None
        _timed(times["settle"], lambda ended=picked: queue.settle(ended.image_id, ended.cost))  # type: ignore[misc]
        _timed(times["push"], lambda new=waiting: queue.push(new))  # type: ignore[misc]
        _timed(times["heap_pick"], lambda: heapq.heappop(heap))
        heapq.heappush(heap, (len(times["pick"]) + num_waiting, waiting))
    for waiting in chance.sample(list(queue.forecast()), 1000):
        _timed(times["cancel"], lambda gone=waiting: queue.cancel(gone.image_id))  # type: ignore[misc]
    gc.enable()
    percentiles = {f"{name}_p99_us": _percentile(spans, 0.99) for name, spans in times.items()}
    middle = {name: _percentile(times[name], 0.5) for name in ("pick", "heap_pick")}
    return percentiles | {
        "pick_p50_us": middle["pick"],
        "heap_pick_p50_us": middle["heap_pick"],
        "ratio_p50": middle["pick"] / middle["heap_pick"],
        "bytes_per_waiting": queue_bytes / num_waiting,
        "heap_bytes_per_waiting": heap_bytes / num_waiting,
    }


async def _measure_views(num_guilds: int, num_waiting: int) -> dict[str, float]:
    """Measure places, waits and views of as many jobs, and what is held in memory of each."""
    chance, jobs, pace = random.Random(2), ActiveJobs(), Throughput()
    queue = FairQueue(max_per_user=num_waiting, max_per_guild=num_waiting)

    def fill() -> None:
        for number in range(num_waiting):
            job = _job(number, Owner(chance.randrange(num_guilds), chance.randrange(20)))
            for live in jobs.add(job).images.values():
                queue.push(make_waiting(job, live.image))

    _, taken = _filled(fill)
    for step in range(50):
        pace.progressed("x", 80, now_s=step * 0.1)
    stations = [Station("", (), 8, pace)]

    def look(forecast: WaitEstimates, live_job: ActiveJob) -> object:
        forecast.refresh(live_job, stations, first=())
        return forecast.place(live_job.images.keys()), forecast.wait_s(live_job.images.keys())

    lives = list(jobs)
    plans: list[float] = []
    for _ in range(5):
        forecast = WaitEstimates(jobs, queue, lambda: 0)
        _timed(plans, lambda new=forecast: look(new, lives[0]))  # type: ignore[misc]
    views: list[float] = []
    for live_job in chance.sample(lives, min(1000, num_waiting)):
        _timed(views, lambda seen=live_job: look(forecast, seen))  # type: ignore[misc]
    return {
        "places_ms": min(plans) / 1000,
        "view_p50_us": _percentile(views, 0.5),
        "view_p99_us": _percentile(views, 0.99),
        "bytes_per_job": taken / num_waiting,
    }


def _job(number: int, owner: Owner) -> Job:
    job_id = new_job_id()
    spec = ImageSpec(
        prompt=f"a red circle on a blue background, number {number}",
        model="paintbox",
        width_px=512,
        height_px=512,
        steps=20,
        guidance=7.5,
        sampler="Euler",
        seed=number,
    )
    image = Image(job_id=job_id, index=0, spec=spec, reserved=1000)
    return Job(
        id=job_id, owner=owner, request=GenerationRequest(spec=spec), created_at=datetime.now(UTC), images=(image,)
    )


def _image(number: int, chance: random.Random, num_guilds: int) -> Waiting:
    return Waiting(f"image{number}", chance.randrange(num_guilds), chance.randrange(20), chance.randint(1, 50) * 1000)


def _fair(images: list[Waiting]) -> FairQueue:
    queue = FairQueue(max_per_user=len(images), max_per_guild=len(images))
    for waiting in images:
        queue.push(waiting)
    return queue


def _heap(images: list[Waiting]) -> list[tuple[int, Waiting]]:
    heap = list(enumerate(images))
    heapq.heapify(heap)
    return heap


def _filled(build: Callable[[], T]) -> tuple[T, int]:
    """Return the queue, and the bytes that its structure takes (the images themselves exist already)."""
    tracemalloc.start()
    built = build()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return built, taken


def _timed(spans: list[float], work: Callable[[], T]) -> T:
    start_ns = time.perf_counter_ns()
    result = work()
    spans.append((time.perf_counter_ns() - start_ns) / 1000)
    return result


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]
