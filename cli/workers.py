"""Makes the workers that the settings ask for: one on each device of this machine, and those of a fleet."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import msgspec

from cli.fleet_settings import build_driver_config, read_fleet_address
from config import Settings
from db.engine import Database
from db.stores.fleet import FleetStore
from generation.errors import ConfigurationError
from generation.fleet.fleet import Fleet
from generation.fleet.remote_worker import RemoteWorker
from generation.models.catalog import Model
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.asked_worker import AskedWorker
from generation.workers.devices import ALL, name_workers
from generation.workers.environment import worker_environment
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker

_COUNT_CARDS = "import torch; print(torch.cuda.device_count())"


async def build_pool(settings: Settings, models: tuple[Model, ...], *, is_single: bool = False) -> WorkerPool:
    """Return a pool of local workers, not started. `is_single`: only the first, for work that ends with one job.

    Raise `ConfigurationError` if the cards have to be counted and torch does not load.
    """
    has_fleet = settings.fleet is not None and not is_single
    devices = (settings.engine.device,) if is_single else await find_devices(settings)
    if not devices and not has_fleet:
        problem = "ATELIER_DEVICES is none, and there is no fleet: nothing could paint."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_FLEET, or name a device.")
    return WorkerPool(_build_members(settings, models, devices, has_bot=not is_single), is_open=has_fleet)


class PoolMembership:
    """The workers behind the queue, as a fleet changes them."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def join(self, worker: RemoteWorker, device: str) -> None:
        await self._pool.join(Member(name=worker.name, worker=worker, device=device))

    async def leave(self, name: str, reason: str) -> None:
        await self._pool.leave(name, reason)

    def drain(self, name: str) -> None:
        self._pool.drain(name)


async def build_fleet(
    settings: Settings,
    models: tuple[Model, ...],
    pool: WorkerPool,
    database: Database,
    *,
    driver: asyncio.subprocess.Process | None = None,
) -> Fleet:
    """Return the fleet of these settings, not running; its members join `pool` as they are found.

    `driver` is one that was started for it before.

    Raise `ConfigurationError` if the token or Ray is missing.
    """
    address = read_fleet_address(settings)
    config = build_driver_config(settings, epoch=await FleetStore(database).begin_epoch())
    worker = WorkerConfig(models=models, settings=settings.engine)
    return Fleet(address, config, worker, PoolMembership(pool), driver=driver)


async def find_devices(settings: Settings) -> tuple[str, ...]:
    """Return the device of each worker. Only where every card is asked for, torch is: in a process of its own."""
    if settings.devices != ALL:
        return settings.worker_devices
    cards = await _count_cards()
    return tuple(f"cuda:{number}" for number in range(cards)) if cards > 1 else (ALL,)


def _build_members(
    settings: Settings, models: tuple[Model, ...], devices: Sequence[str], *, has_bot: bool
) -> list[Member]:
    engines = [msgspec.structs.replace(settings.engine, device=device) for device in devices]
    make = LocalWorker if settings.cloud_url is None else AskedWorker  # which also checks what the cloud paints
    configs = [WorkerConfig(models=models, settings=engine) for engine in engines]
    if not has_bot:  # no event loop has to go first
        configs = [msgspec.structs.replace(each, nice=0) for each in configs]
    workers = [make(each) for each in configs]
    named = zip(name_workers(devices), workers, devices, strict=True)
    return [Member(name=name, worker=worker, device=device) for name, worker, device in named]


async def _count_cards() -> int:
    probe = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", _COUNT_CARDS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=worker_environment(os.environ),
    )
    out, error = await probe.communicate()
    if probe.returncode:
        last_line = error.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise ConfigurationError(problem=f"torch does not load: {last_line}.", remedy="Install Atelier again.")
    return int(out)
