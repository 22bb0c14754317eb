"""Workers behind one service, for benchmarks: on this machine, or over Ray on a cluster of this machine's loopback."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker

if TYPE_CHECKING:  # the tests' cluster, and with it their harness, only where Ray is asked for
    from tests.generation.fleet.ray_cluster import RayCluster

_epochs = itertools.count(1)
_PATIENCE_S = 600


@dataclass(frozen=True, slots=True)
class OpenMembers:
    """A pool whose members are or will be up, and the process beside the bot that leads to them, if there is one."""

    pool: WorkerPool
    driver_pid: Callable[[], int | None] = lambda: None

    async def wait_until_up(self, number: int) -> None:
        """Wait until so many members have an engine. The pool has to be started."""
        async with asyncio.timeout(_PATIENCE_S):
            while sum(bool(each.worker.num_slots) for each in self.pool.members) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def read_driver_s(self) -> float:
        """Return the processor time of the driver process so far."""
        pid = self.driver_pid()
        if pid is None:
            return 0.0
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def open_local(config: WorkerConfig, number: int) -> AsyncIterator[OpenMembers]:
    """Have so many workers on this machine, each a process."""
    pool = WorkerPool(Member(name=f"worker {index}", worker=LocalWorker(config)) for index in range(number))
    try:
        yield OpenMembers(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def open_cluster() -> AsyncIterator[RayCluster]:
    """Have Ray on loopback, without a machine that paints."""
    from tests.generation.fleet.ray_cluster import ENVIRONMENT, RayCluster

    os.environ.update(ENVIRONMENT)
    cluster = await RayCluster.start(cards=0)
    try:
        yield cluster
    finally:
        await cluster.stop()


@asynccontextmanager
async def open_over_ray(
    cluster: RayCluster, config: WorkerConfig, number: int, *, beside: Iterable[Member] = ()
) -> AsyncIterator[OpenMembers]:
    """Have so many actors with a worker each, on a machine that joins the cluster for as long, and a driver."""
    from cli.workers import PoolMembership
    from generation.fleet.fleet import Fleet
    from generation.fleet.messages import DriverConfig
    from generation.fleet.version import find_version

    pool = WorkerPool(beside, is_open=True)
    epoch = next(_epochs)
    machine = f"box{epoch}"
    await cluster.add(machine, cards=number)
    driver = DriverConfig(epoch=epoch, version=find_version())
    fleet = Fleet(cluster.address, driver, config, PoolMembership(pool))
    running = asyncio.create_task(fleet.run(), name="fleet")
    try:
        yield OpenMembers(pool, lambda: fleet.pid)
    finally:
        await pool.close()
        running.cancel()
        await asyncio.wait([running])
        await fleet.close()
        await cluster.tell(f"remove {machine}")
