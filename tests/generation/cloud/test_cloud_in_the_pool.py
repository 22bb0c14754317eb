"""A cloud worker behind the one queue: what it gets, what it never gets, and what its pictures say of themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from bench.light_engine import ENGINE
from db.engine import Database
from db.stores.cloud import CloudStore
from generation.cloud.settings import CloudSettings
from generation.cloud.worker import CloudWorker
from generation.jobs.job import Status
from generation.models.catalog import Catalog
from generation.requests.spec import GenerationRequest
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.asked_worker import AskedWorker
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import WorkerConfig
from tests.generation.cloud.cog_server import serve_cog
from tests.generation.service_harness import ADA, opened_with
from tests.patience import PATIENCE_S

CATALOG = Catalog.open("paintbox")


async def test_it_paints_what_no_worker_here_has_room_for(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    books = f"sqlite:///{tmp_path / 'books' / 'atelier.db'}"
    config = WorkerConfig(models=CATALOG.models, engine=ENGINE, settings=EngineSettings(num_slots=1), nice=0)
    here = AskedWorker(config, first_pause_s=0.01)
    async with serve_cog() as server, await Database.open(books, tmp_path / "books") as database:
        store = CloudStore(database)
        cloud = CloudWorker(
            CloudSettings(url=server.url, model="paintbox", price=5, budget=100, version="v", poll_s=0.01),
            books=store,
            helpers=[here],
            open_session=aiohttp.ClientSession,
        )
        pool = WorkerPool(
            [Member(name="one", worker=here), Member(name="cloud", worker=cloud, device="host", is_cloud=True)]
        )
        async with opened_with(tmp_path, pool, catalog=CATALOG) as place, asyncio.timeout(PATIENCE_S):
            busy = await place.submit("endless-image", steps=50)
            await place.until(lambda: place.is_running(busy))
            stays = await place.submit("a (red:1.3) circle")
            leaves = await place.finished(await place.submit("a red circle"))
            assert leaves.status is Status.DONE and place.generation.view(stays.id) is not None
            assert [each["input"]["prompt"] for each in server.begun] == ["a red circle"]
            [image] = leaves.images
            assert image.recipe is not None and image.recipe.fingerprint.facts == {"cloud": "127.0.0.1", "version": "v"}
            await place.generation.cancel(busy.id)
            assert (await place.finished(stays)).status is Status.DONE
            replay = GenerationRequest(spec=image.spec, replay=image.recipe.build_replay())
            again = await place.finished(await place.generation.submit(replay, ADA))
            assert again.images[0].recipe is not None and len(server.begun) == 1, "a replay never leaves"
            assert again.images[0].recipe.fingerprint != image.recipe.fingerprint
            assert again.images[0].recipe.pixels_sha256 != image.recipe.pixels_sha256
            assert await store.fetch_committed() == 5


async def test_a_lost_engine_is_asked_again(tmp_path: Path) -> None:
    """What the cloud painted was paid for: the check is done by the next engine."""
    config = WorkerConfig(models=CATALOG.models, engine=ENGINE, nice=0)
    here = AskedWorker(config, first_pause_s=0.01)
    async with serve_cog() as server, await Database.open(f"sqlite:///{tmp_path / 'atelier.db'}", tmp_path) as database:
        settings = CloudSettings(url=server.url, model="paintbox", price=5, budget=100, version="v", poll_s=0.01)
        cloud = CloudWorker(settings, books=CloudStore(database), helpers=[here], open_session=aiohttp.ClientSession)
        pool = WorkerPool([Member(name="cloud", worker=cloud, is_cloud=True), Member(name="one", worker=here)])
        async with opened_with(tmp_path / "other", pool, catalog=CATALOG) as place:
            poison = await place.finished(await place.submit("crash-worker"))
            assert poison.images[0].status is Status.FAILED
            assert (await place.finished(await place.submit("a red circle"))).status is Status.DONE
