"""Who watches a job hears of its changes, and of no other's."""

from __future__ import annotations

from pathlib import Path

from generation.models.catalog import Catalog
from generation.scheduling.watchers import Watchers
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import opened_with


def test_each_watcher_of_a_job_is_woken() -> None:
    watchers = Watchers()
    with watchers.watch("a") as one, watchers.watch("a") as two, watchers.watch("b") as other:
        watchers.notify("a")
        assert (one.is_set(), two.is_set(), other.is_set()) == (True, True, False)
    watchers.notify("a")
    with watchers.watch("a") as again:
        assert not again.is_set()


async def test_the_service_tells_them_of_every_change(tmp_path: Path) -> None:
    catalog = Catalog.open("paintbox")
    pool = WorkerPool([Member(name="one", worker=InProcessWorker(catalog.models))])
    async with opened_with(tmp_path, pool, catalog=catalog) as place:
        place.generation.pause(True)
        job = await place.submit()
        with place.generation.watchers.watch(job.id) as changed:
            place.generation.pause(False)
            await place.finished(job)
            assert changed.is_set()
