"""A running service for tests: real SQLite, a real worker process, real files, and what the tests observe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bench.light_engine import ENGINE
from db.engine import Database
from db.stores.jobs import JobStore
from generation.images.store import ImageFiles
from generation.jobs.job import Job, Status
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.child_process import spawn
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import DEFAULT_ENGINE, WorkerConfig
from generation.workers.local import LocalWorker
from tests.forked_engines import fork
from tests.patience import PATIENCE_S

T = TypeVar("T")
ADA, BO = Owner(1, 100), Owner(2, 200)


def spec(prompt: str = "a red circle", **changes: Any) -> ImageSpec:
    basis = ImageSpec(
        prompt=prompt, model="paintbox", width_px=64, height_px=64, steps=5, guidance=4.0, sampler="Euler", seed=7
    )
    return replace(basis, **changes)


class Place:
    """A service with what the tests observe."""

    worker: LocalWorker
    """The only one, of a place that was `opened`."""

    def __init__(
        self, generation: GenerationService, pool: WorkerPool, store: JobStore, folder: Path, database: Database
    ) -> None:
        self.generation, self.pool, self.store, self.folder = generation, pool, store, folder
        self.database = database
        self.changes: list[str] = []
        self.running: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        generation.on_change = self._heard

    def _heard(self, job_id: str) -> None:
        self.changes.append(job_id)
        asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, true: Callable[[], Any]) -> None:
        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(true)

        await self._unless_it_ends(wait())

    async def submit(self, prompt: str = "a red circle", owner: Owner = ADA, count: int = 1, **changes: Any) -> Job:
        """The files that it starts from were attached."""
        request = GenerationRequest(spec=spec(prompt, **changes), count=count)
        return await self.generation.submit(request, owner, attached=request.spec.files)

    async def finished(self, job: Job) -> Job:
        return await self._unless_it_ends(self.generation.finished(job.id))

    async def _unless_it_ends(self, what: Coroutine[None, None, T]) -> T:
        """Return what comes, with patience. Raise why the service ended, if it does: nothing would come any more."""
        assert self.running is not None
        coming = asyncio.create_task(what)
        await asyncio.wait((coming, self.running), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            coming.cancel()
            if not self.running.done():
                raise TimeoutError
            await self.running
            raise RuntimeError("the service has ended")
        return coming.result()

    def is_running(self, job: Job) -> bool:
        view = self.generation.view(job.id)
        return view is not None and view.job.status is Status.RUNNING and view.progress > 0


@asynccontextmanager
async def opened(
    folder: Path, *, queue: FairQueue | None = None, catalog: Catalog | None = None, engine: str = ENGINE
) -> AsyncIterator[Place]:
    """Open a running service in a folder that may hold an earlier one's database."""
    catalog = catalog or Catalog.open("paintbox")
    config = WorkerConfig(models=catalog.models, engine=engine, settings=EngineSettings(num_threads=1), nice=0)
    worker = LocalWorker(config, first_pause_s=0.01, spawn=fork if engine == DEFAULT_ENGINE else spawn)
    pool = WorkerPool([Member(name="one", worker=worker)])
    async with opened_with(folder, pool, catalog=catalog, queue=queue) as place:
        place.worker = worker
        yield place


@asynccontextmanager
async def opened_with(
    folder: Path, pool: WorkerPool, *, catalog: Catalog, queue: FairQueue | None = None
) -> AsyncIterator[Place]:
    """Open a running service over a pool."""
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        store = JobStore(database)
        generation = GenerationService(
            pool=pool,
            store=store,
            files=ImageFiles(folder / "pictures"),
            catalog=catalog,
            queue=queue,
        )
        place = Place(generation, pool, store, folder, database)
        place.running = running = asyncio.create_task(generation.run())
        try:
            yield place
        finally:
            running.cancel()
            await asyncio.wait((running,))
            await pool.close()
