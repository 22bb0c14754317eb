"""Several workers are lost, frozen, unplugged and heard again too late: no image is lost, doubled or charged twice.

The same through whole bots and worker processes: `python -m tests.reliability.chaos --members 3`.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from bench.light_engine import finish
from db.admin.reconcile import reconcile
from db.engine import Database
from generation.jobs.job import Job, Status
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import Place, opened_with
from tests.patience import PATIENCE_S
from tests.reliability.books import Books

STRIKES = 24
MODELS = Catalog.open("paintbox").models


class Weather:
    """Strikes at the members of a pool; all of it is decided by the seed, but for the moments."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._chance = place, random.Random(seed)

    async def strike(self) -> None:
        name = await self._find_at_work()
        worker = self._workers()[name]
        match self._chance.choice(("die", "die", "freeze", "zombie", "leave")):
            case "die":
                worker.lose()
                worker.come_back()
            case "freeze":
                worker.hold(True)
                await asyncio.sleep(0)
                worker.lose("it was silent")
                worker.hold(False)
                worker.come_back()
            case "zombie":
                late = worker.admitted[-1]
                worker.lose()
                worker.come_back()
                worker.say(finish(late))  # it painted on, out of reach
            case "leave":
                await self._place.pool.leave(name)
                await self._place.pool.join(Member(name=name, worker=InProcessWorker(MODELS, num_slots=3)))

    def _workers(self) -> dict[str, InProcessWorker]:
        workers = {each.name: each.worker for each in self._place.pool.members}
        return {name: worker for name, worker in workers.items() if isinstance(worker, InProcessWorker)}

    async def _find_at_work(self) -> str:
        """Return the name of one that holds images."""
        async with asyncio.timeout(PATIENCE_S):
            while not (busy := [each.name for each in self._place.generation.members if each.held]):  # noqa: ASYNC110
                await asyncio.sleep(0)
        return self._chance.choice(busy)


async def test_under_strikes_at_several_workers_every_image_is_painted_once(tmp_path: Path) -> None:
    pool = WorkerPool([Member(name=name, worker=InProcessWorker(MODELS, num_slots=3)) for name in "xyz"])
    async with opened_with(tmp_path, pool, catalog=Catalog.open("paintbox")) as place:
        books = Books(f"sqlite:///{tmp_path / 'atelier.db'}")
        await asyncio.to_thread(books.audit)
        weather, jobs = Weather(place, seed=3), list[Job]()
        for number in range(STRIKES):
            owner = Owner(guild_id=number % 3, user_id=number % 5)
            jobs.append(await place.submit(f"picture {number}", owner, count=4, steps=8))
            await weather.strike()
        done = [await place.finished(job) for job in jobs]
    images = [image for job in done for image in job.images]
    assert len(images) == 4 * STRIKES
    failed = [image for image in images if image.status is not Status.DONE]
    assert {image.error for image in failed} <= {"WorkerLost"}, "only what three workers died of"
    assert len(failed) <= 2, "of strikes at random"
    assert any(image.attempt > 1 for image in images), "the strikes met work"
    assert books.num_stale_writes() == books.num_settled_twice() == 0
    async with await Database.open(books.address, tmp_path) as database:
        found = await reconcile(database)
    assert not found.postings
    assert not found.balances
