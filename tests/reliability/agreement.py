"""Whether what was counted for Prometheus agrees with the database.

A counter is one process's. Over lives that are killed, each keeps its counters in a file that outlives it
(prometheus-client's `PROMETHEUS_MULTIPROC_DIR`), and they are summed. A bot that is killed between the moment when the
disk has a commit and the next line of its program has not counted it: so less may be counted than is there, by one
commit a kill at most, which holds what was written at once, and never more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from generation.jobs.delivery import DeliveryWay
from generation.jobs.job import Status
from generation.metrics import REGISTRY
from tests.reliability.books import Books

_OF_NAME = {
    "atelier_jobs_accepted_total": "jobs",
    "atelier_images_accepted_total": "images",
    "atelier_images_started_total": "started",
}


def count_in_database(books: Books) -> Counter[str]:
    """Return what the database has, by the names that `count_in_metrics` gives."""
    posted = sum(state == "posted" for state in books.deliveries().values())
    found = {"jobs": len(books.images()), "started": books.num_claims(), "posted": posted}
    ends = {status: number for status, number in books.statuses().items() if Status(status).is_end}
    return Counter({**found, "images": sum(books.statuses().values()), **ends})


def count_in_metrics(metrics: Iterable[Metric]) -> Counter[str]:
    """Return what was counted: jobs, images, hand-outs, ends by how, results that were posted."""
    counted = Counter[str]()
    for sample in (sample for metric in metrics for sample in metric.samples):
        number = int(sample.value)
        if sample.name in _OF_NAME:
            counted[_OF_NAME[sample.name]] += number
        elif sample.name == "atelier_images_ended_total":
            counted[sample.labels["outcome"]] += number
        elif sample.name == "atelier_images_withheld_late_total":
            counted[Status.DONE] -= number
            counted[Status.WITHHELD] += number
        elif sample.name == "atelier_deliveries_total" and sample.labels["way"] != DeliveryWay.HISTORY:
            counted["posted"] += number
    return counted


def count_here() -> Counter[str]:
    """Return what this process has counted so far."""
    return count_in_metrics(REGISTRY.collect())


def count_of_lives(folder: Path) -> Counter[str]:
    """Return what all processes counted that kept their counters in this folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return count_in_metrics(registry.collect())


def compare(stored: Counter[str], counted: Counter[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return what is stored and was not counted, and what was counted and is not stored: both empty when they agree."""
    names = sorted(stored.keys() | counted.keys())
    uncounted = {name: stored[name] - counted[name] for name in names if stored[name] > counted[name]}
    unfounded = {name: counted[name] - stored[name] for name in names if counted[name] > stored[name]}
    return uncounted, unfounded
