"""A fleet as tests open it: a cluster on loopback, the bot's side of it, and members without a pool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from generation.fleet.address import FleetAddress
from generation.fleet.fleet import Fleet
from generation.fleet.messages import DriverConfig
from generation.fleet.remote_worker import RemoteWorker
from generation.fleet.version import find_version
from generation.jobs.protocol import Event
from generation.workers.frames import WorkerConfig
from tests.generation.fleet.ray_cluster import ENVIRONMENT, RayCluster
from tests.patience import PATIENCE_S

WAIT_S = 5.0


@dataclass
class Joined:
    """A pool that only notes who is in."""

    members: dict[str, RemoteWorker] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    draining: set[str] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def join(self, worker: RemoteWorker, device: str) -> None:
        async with self.changed:
            self.members[worker.name] = worker
            self.changed.notify_all()

    async def leave(self, name: str, reason: str) -> None:
        async with self.changed:
            if (worker := self.members.pop(name, None)) is not None:
                await worker.close()
                self.left.append((name, reason))
            self.changed.notify_all()

    def drain(self, name: str) -> None:
        self.draining.add(name)


@dataclass
class OpenFleet:
    """A cluster and one bot's side of it, running."""

    cluster: RayCluster
    fleet: Fleet
    joined: Joined
    running: asyncio.Task[None]

    async def fetch_member(self, name: str = "box-0") -> RemoteWorker:
        """Return the member of that name, once it is in."""
        async with asyncio.timeout(PATIENCE_S), self.joined.changed:
            await self.joined.changed.wait_for(lambda: name in self.joined.members)
        return self.joined.members[name]

    async def end(self) -> None:
        """Stop the bot's side. Its members stay warm."""
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.fleet.close()


def start_bot(
    cluster: RayCluster,
    worker: WorkerConfig,
    *,
    epoch: int = 1,
    address: FleetAddress | None = None,
    code: str = "",
    wait_s: float = WAIT_S,
    connect_s: float = 60.0,
    driver: asyncio.subprocess.Process | None = None,
) -> OpenFleet:
    """Start a bot's side of a cluster. `epoch` is which bot it is; `code` another version than this; `driver` one that
    was started for it."""
    version = find_version()
    config = DriverConfig(
        epoch=epoch,
        version=type(version)(version.program, code or version.code),
        wait_s=wait_s,
        look_s=0.5,
        refused_s=0.5,
    )
    joined = Joined()
    fleet = Fleet(
        *(address or cluster.address, config, worker, joined),
        connect_s=connect_s,
        driver=driver,
        first_pause_s=0.05,
        longest_pause_s=0.5,
    )
    return OpenFleet(cluster, fleet, joined, asyncio.create_task(fleet.run(), name="fleet"))


@asynccontextmanager
async def open_cluster(*, cards: int = 1) -> AsyncIterator[RayCluster]:
    """Start a cluster, and have drivers and Ray itself stay on loopback."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    cluster = await RayCluster.start(cards=cards)
    try:
        yield cluster
    finally:
        await cluster.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@asynccontextmanager
async def open_fleet(worker: WorkerConfig, *, cards: int = 1, wait_s: float = WAIT_S) -> AsyncIterator[OpenFleet]:
    """Start a cluster and a bot's side of it."""
    async with open_cluster(cards=cards) as cluster:
        bot = start_bot(cluster, worker, wait_s=wait_s)
        try:
            yield bot
        finally:
            await bot.end()


async def collect_until(events: AsyncIterator[Event], kind: type | tuple[type, ...]) -> list[Event]:
    """Return all events up to and with the first of that kind."""
    said: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        while not said or not isinstance(said[-1], kind):
            said.append(await anext(events))
    return said
