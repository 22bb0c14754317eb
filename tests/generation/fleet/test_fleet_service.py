"""The whole service over a fleet of two machines beside a worker of its own: what fails costs no picture."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

pytest.importorskip("ray", reason="the extra `fleet` is not installed")

from bench.light_engine import PACED_ENGINE
from cli.workers import PoolMembership
from generation.fleet.fleet import Fleet
from generation.fleet.messages import DriverConfig
from generation.fleet.remote_worker import RemoteWorker
from generation.fleet.version import find_version
from generation.jobs.job import Job, Status
from generation.metrics import REGISTRY
from generation.models.catalog import Catalog
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker
from tests.generation.fleet.fleet_harness import open_cluster
from tests.generation.fleet.ray_cluster import RayCluster
from tests.generation.service_harness import Place, opened_with
from tests.patience import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
WORKER = WorkerConfig(models=Catalog.open("paintbox").models, engine=PACED_ENGINE, nice=0)
HELD = 4
_epochs = iter(range(1, 100))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[RayCluster]:
    async with open_cluster(cards=1) as started:
        yield started


@asynccontextmanager
async def served(folder: Path, cluster: RayCluster) -> AsyncIterator[tuple[Place, Fleet]]:
    """Open a service with a worker here and the members of a cluster."""
    local = LocalWorker(WORKER, first_pause_s=0.01)
    pool = WorkerPool([Member(name="here", worker=local)], is_open=True)
    epoch, version = next(_epochs), find_version()
    config = DriverConfig(epoch=epoch, version=version, wait_s=2.0, look_s=0.5, refused_s=0.5)
    fleet = Fleet(cluster.address, config, WORKER, PoolMembership(pool), first_pause_s=0.05, longest_pause_s=0.5)
    running = asyncio.create_task(fleet.run())
    try:
        async with opened_with(
            folder, pool, catalog=Catalog.open("paintbox"), queue=FairQueue(max_per_user=1000)
        ) as place:
            yield place, fleet
    finally:
        running.cancel()
        await asyncio.wait([running])
        await fleet.close()


def slots(place: Place, name: str) -> int:
    """Return the slots of a member that is up; 0 for one that is down or not in."""
    return next((each.num_slots for each in place.generation.members if each.name == name), 0)


def held(place: Place, name: str) -> int:
    return next((len(each.held) for each in place.generation.members if each.name == name), 0)


async def submit(place: Place, count: int) -> list[Job]:
    return [await place.submit(f"a red circle {number}", steps=20) for number in range(count)]


async def require_done(place: Place, jobs: list[Job]) -> None:
    """Every picture is there and charged once."""
    for job in jobs:
        ended = await place.finished(job)
        assert ended.status is Status.DONE, ended
        assert all(image.file_sha256 and image.charged == image.reserved for image in ended.images)


def engine_of(place: Place, name: str) -> psutil.Process:
    (worker,) = (each.member.worker for each in place.generation.members if each.name == name)
    assert isinstance(worker, RemoteWorker) and worker.pid is not None
    return psutil.Process(worker.pid)


def freeze(first: psutil.Process) -> list[psutil.Process]:
    """Stop a machine: its first process, and all below it."""
    frozen = [first, *first.children(recursive=True)]
    for each in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGSTOP)
    return frozen


async def test_engine_actor_and_machine_die_and_every_picture_comes(tmp_path: Path, cluster: RayCluster) -> None:
    await cluster.add("attic")
    async with served(tmp_path, cluster) as (place, _):
        await until(lambda: slots(place, "attic-0") and slots(place, "box-0") and slots(place, "here"))
        jobs = await submit(place, 60)
        await until(lambda: held(place, "box-0") >= HELD)
        engine_of(place, "box-0").kill()
        await until(lambda: not slots(place, "box-0"))
        await until(lambda: slots(place, "box-0"))
        jobs += await submit(place, 20)
        await until(lambda: held(place, "attic-0") >= HELD)
        (actor, *_) = cluster.find("ray::RayWorkerActor")
        actor.kill()
        await until(lambda: not slots(place, "box-0") or not slots(place, "attic-0"))
        await until(lambda: slots(place, "box-0") and slots(place, "attic-0"))
        jobs += await submit(place, 20)
        await until(lambda: held(place, "attic-0") >= HELD)
        await cluster.tell("remove attic")
        await require_done(place, jobs)
        await cluster.add("attic")
        await until(lambda: slots(place, "attic-0"))
        await require_done(place, await submit(place, 8))
        await cluster.tell("remove attic")


async def test_a_machine_that_froze_and_wakes_paints_nothing_twice(tmp_path: Path, cluster: RayCluster) -> None:
    first = await cluster.add("den")
    async with served(tmp_path, cluster) as (place, _):
        await until(lambda: slots(place, "den-0") and slots(place, "box-0") and slots(place, "here"))
        jobs = await submit(place, 40)
        await until(lambda: held(place, "den-0") >= HELD)
        frozen = freeze(first)
        await require_done(place, jobs)
        for each in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)
        await until(lambda: slots(place, "den-0"))
        await require_done(place, jobs + await submit(place, 30))
        await cluster.tell("remove den")


def is_connected() -> float | None:
    """Return what `/metrics` says of the fleet."""
    return REGISTRY.get_sample_value("atelier_fleet_state", {"state": "connected"})


async def test_the_worker_here_goes_on_when_rays_head_is_gone(tmp_path: Path) -> None:
    async with open_cluster(cards=1) as cluster, served(tmp_path, cluster) as (place, fleet):
        await until(lambda: slots(place, "box-0") and slots(place, "here"))
        jobs = await submit(place, 20)
        await until(lambda: held(place, "box-0") >= HELD)
        assert is_connected() == 1
        (head,) = cluster.find("gcs_server")
        head.kill()
        await cluster.stop()
        await require_done(place, jobs)
        await require_done(place, await submit(place, 4))
        await until(lambda: "out of reach" in " ".join(fleet.list_troubles()))
        assert is_connected() == 0
        assert place.running is not None and not place.running.done() and slots(place, "here")
