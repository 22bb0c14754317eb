"""Makes the workers that the settings ask for: one on each device."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import msgspec

from config import Settings
from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.devices import ALL, name_workers
from generation.workers.environment import worker_environment
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker

_COUNT_CARDS = "import torch; print(torch.cuda.device_count())"


async def build_pool(settings: Settings, models: tuple[Model, ...], *, is_single: bool = False) -> WorkerPool:
    """Return a pool of local workers, not started. `is_single`: only the first, for work that ends with one job.

    Raise `ConfigurationError` if the cards have to be counted and torch does not load.
    """
    devices = settings.worker_devices[:1] if is_single else await find_devices(settings)
    return WorkerPool(_build_members(settings, models, devices))


async def find_devices(settings: Settings) -> tuple[str, ...]:
    """Return the device of each worker. Only where every card is asked for, torch is: in a process of its own."""
    if settings.devices != ALL:
        return settings.worker_devices
    cards = await _count_cards()
    return tuple(f"cuda:{number}" for number in range(cards)) if cards > 1 else (ALL,)


def _build_members(settings: Settings, models: tuple[Model, ...], devices: Sequence[str]) -> list[Member]:
    engines = [msgspec.structs.replace(settings.engine, device=device) for device in devices]
    workers = [LocalWorker(WorkerConfig(models=models, settings=engine)) for engine in engines]
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
