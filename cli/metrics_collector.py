"""`/metrics`: what the rooms have counted (`generation.metrics`), and what is so at the moment of the question."""

from __future__ import annotations

import asyncio
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cli import __version__
from cli.health import HealthStatus
from cli.http_pages import Pages
from config import Settings
from db.address import file_of, parse_url
from db.revisions import newest_revision
from generation.images.store import ImageFiles
from generation.metrics import REGISTRY
from generation.retry import num_stuck
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_status import WorkerStatus

STATES = ("up", "starting", "draining", "unfit")


@dataclass(frozen=True, slots=True)
class Storage:
    """What the disk says. `database` is None where the data is on a server."""

    size: int
    free: int
    database: int | None


class MetricsPage:
    """Renders the page. `render` from the event loop: what it reads belongs to that."""

    def __init__(
        self, settings: Settings, generation: GenerationService, files: ImageFiles, status: HealthStatus
    ) -> None:
        self._settings = settings
        self._state = _State(generation, files, status)
        self._registry = CollectorRegistry()
        self._registry.register(self._state)
        ProcessCollector(registry=self._registry)
        self._rendering = asyncio.Lock()

    async def render(self) -> bytes:
        """Return the page as Prometheus reads it. One at a time: the disk may be slow."""
        async with self._rendering:
            self._state.storage = await asyncio.to_thread(_measure_storage, self._settings)
            return generate_latest(REGISTRY) + generate_latest(self._registry)


class Watched(Protocol):
    """What the pages tell of: a `cli.serve.App`."""

    @property
    def generation(self) -> GenerationService: ...
    @property
    def files(self) -> ImageFiles: ...


def build_pages(settings: Settings, app: Watched, status: HealthStatus) -> Pages:
    """Return all that the pages show."""
    metrics = MetricsPage(settings, app.generation, app.files, status)
    return Pages(facts=status, list_readiness=status.list_readiness, render_metrics=metrics.render)


class _State(Collector):
    """What is so now."""

    def __init__(self, generation: GenerationService, files: ImageFiles, status: HealthStatus) -> None:
        self._generation, self._files, self._status = generation, files, status
        self.storage: Storage | None = None
        self._build = (__version__, platform.python_version(), newest_revision())

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("atelier_build_info", "What runs.", labels=("version", "python", "schema"))
        build.add_metric(self._build, 1)
        yield build
        generation = self._generation
        yield _gauge("queue_images", "Pictures that wait for a worker.", generation.num_waiting)
        yield _gauge("running_images", "Pictures that workers hold.", generation.num_running)
        yield _gauge("oldest_job_seconds", "Age of the oldest job that has not ended.", generation.compute_oldest_s())
        yield _gauge("paused", "Whether the operator lets nothing begin.", generation.is_paused)
        yield _gauge("closed", "Whether the operator lets nothing in.", generation.is_closed)
        yield _gauge("discord_connected", "Whether Discord is connected.", self._status.is_connected)
        yield _gauge("problems", "What fails now: /healthz says it in words.", self._status.num_problems)
        yield _gauge("stuck_writes", "Writes that storage refused and that are tried again.", num_stuck())
        yield _gauge("tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
        yield from _list_workers(generation.workers)
        yield from self._list_storage()

    def _list_storage(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "atelier_pictures_written_bytes", "Bytes of new picture files.", self._files.num_bytes_put
        )
        if self.storage is None:
            return
        yield _gauge("storage_size_bytes", "Size of the disk of the data folder.", self.storage.size)
        yield _gauge("storage_free_bytes", "What is free of it.", self.storage.free)
        if self.storage.database is not None:
            yield _gauge("database_size_bytes", "Size of the database file and its log.", self.storage.database)


def _list_workers(workers: tuple[WorkerStatus, ...]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "atelier_worker_state", "1 for the state that a worker is in.", labels=("member", "state")
    )
    slots = GaugeMetricFamily("atelier_worker_slots", "Pictures that a worker may hold.", labels=("member",))
    images = GaugeMetricFamily("atelier_worker_images", "Pictures that a worker holds.", labels=("member",))
    losses = CounterMetricFamily("atelier_worker_losses", "Times that a worker was lost.", labels=("member",))
    for each in workers:
        now = _find_state(each)
        for name in STATES:
            state.add_metric((each.name, name), name == now)
        slots.add_metric((each.name,), each.num_slots)
        images.add_metric((each.name,), each.num_images)
        losses.add_metric((each.name,), each.num_losses)
    yield from (state, slots, images, losses)


def _find_state(worker: WorkerStatus) -> str:
    if worker.is_unfit:
        return "unfit"
    if not worker.num_slots:
        return "starting"
    return "draining" if worker.is_draining else "up"


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"atelier_{name}", what, value)


def _measure_storage(settings: Settings) -> Storage | None:
    """Return the figures of the data folder; None where the disk does not say them. Blocks."""
    try:
        usage = shutil.disk_usage(settings.data_dir)
    except OSError:
        return None
    file = file_of(parse_url(settings.url_of_database))
    return Storage(usage.total, usage.free, None if file is None else _size(file) + _size(Path(f"{file}-wal")))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
