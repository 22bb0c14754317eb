"""Measures what counting for `/metrics` costs, in processor time: for a picture, for a scrape, for the event loop.

Keys: `picture_us`, all that is counted of one picture of twenty steps, from its acknowledgement to its post;
`scrape_ms` and `scrape_bytes`, the page of what was counted; `lag_sample_us`, one of the 50 samples a second of the
event loop; `load`, the machine's. Each is the best of seven rounds. The whole bot spends 4 to 6 ms on a request.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

from prometheus_client.exposition import generate_latest

from generation import metrics

ROUNDS = 7


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench metrics", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.parse_args(argv)
    figures = {
        "picture_us": round(1e6 * time_one(count_picture, 500), 1),
        "scrape_ms": round(1e3 * time_one(lambda: generate_latest(metrics.REGISTRY), 20), 2),
        "scrape_bytes": len(generate_latest(metrics.REGISTRY)),
        "lag_sample_us": round(1e6 * time_one(lambda: metrics.LOOP_LAG.observe(0.001), 1000), 2),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(figures))
    return 0


def count_picture() -> None:
    """Count what a picture of twenty steps is counted as, with the requests and transactions that it takes."""
    metrics.ACKNOWLEDGED.observe(0.02)
    for counter in (metrics.JOBS_ACCEPTED, metrics.IMAGES_ACCEPTED, metrics.IMAGES_STARTED):
        counter.inc(1)
    for _ in range(10):
        metrics.count_step("cpu", 2, rows=1, capacity=1.0)
    metrics.count_end("done", wait_s=1.0, whole_s=3.0, error=None)
    metrics.IMAGES_ENDED.labels("done").inc()
    metrics.DELIVERIES.labels("token").inc()
    metrics.DELIVERY_TIME.observe(0.5)
    for _ in range(8):
        metrics.count_answer(200, 0.1, scope=None)
    for _ in range(4):
        metrics.COMMIT_TIME.observe(0.01)
        metrics.WRITES.inc(3)


def time_one(act: Callable[[], object], times: int) -> float:
    """Return the seconds of processor time of one act, in the best of the rounds."""
    return min(_time(act, times) for _ in range(ROUNDS)) / times


def _time(act: Callable[[], object], times: int) -> float:
    began_s = time.process_time()
    for _ in range(times):
        act()
    return time.process_time() - began_s
