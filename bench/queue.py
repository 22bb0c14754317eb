"""Measures one fair decision with 1,000 guilds and 10,000 waiting images, beside a plain heap.

Steady state: every pick is settled and a new image takes its place. The plain heap (oldest first, what a FIFO with
priorities would be) does the same work in the same run, its turns interleaved with ours.

Keys: `pick_p50_us`, `pick_p99_us`, `settle_p99_us`, `push_p99_us`, `cancel_p99_us`; `heap_pick_p99_us`, `ratio_p50`;
`bytes_per_waiting`, `heap_bytes_per_waiting`.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting

T = TypeVar("T")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench queue", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--guilds", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--picks", type=int, default=20_000)
    options = parser.parse_args(argv)
    figures = _measure(options.guilds, options.waiting, options.picks)
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
