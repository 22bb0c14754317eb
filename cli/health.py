"""What the bot says of its health: all of it in words (`/healthz`), and whether it can do its work (`/readyz`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from db.engine import Database
from generation.fleet.fleet import Fleet
from generation.requests.cost import UNITS_PER_STEP
from generation.retry import Problems, num_stuck
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_status import WorkerStatus

_CONNECTED = "connected"
_ANSWERS_WITHIN_S = 2.0
"""A database that takes longer to read nothing is not ready."""


class HealthStatus:
    """What the pages say of the parts of the bot."""

    def __init__(
        self, generation: GenerationService, database: Database, problems: Problems, *, fleet: Fleet | None = None
    ) -> None:
        self._generation, self._database, self._problems, self._fleet = generation, database, problems, fleet
        self._discord = "connecting"
        self.on_change: Callable[[], None] = lambda: None
        """Called when the state of the connection to Discord changes."""
        self._reading: asyncio.Task[None] | None = None

    def set_discord(self, state: str) -> None:
        """Note the state of the connection to Discord; all but "connected" is a problem."""
        self._discord = state
        self.on_change()

    def __call__(self) -> dict[str, object]:
        return {
            "discord": self._discord,
            "painter_ready": self._generation.is_ready,
            "waiting": self._generation.num_waiting,
            "running": self._generation.num_running,
            "workers": [_describe(each) for each in self._generation.workers],
            "degraded": list(self._list_workers_down()) if self._generation.is_ready else [],
            "problems": list(self._list_problems()),
        }

    async def list_readiness(self) -> dict[str, bool]:
        """Return what the bot needs to paint and to answer, and whether it is there."""
        return {
            "discord": self.is_connected,
            "database": await self._has_database(),
            "worker": self._generation.is_ready,
        }

    @property
    def summary(self) -> str:
        """The state in a line."""
        return f"Discord: {self._discord}"

    @property
    def num_problems(self) -> int:
        return sum(1 for _ in self._list_problems())

    @property
    def is_connected(self) -> bool:
        return self._discord == _CONNECTED

    async def _has_database(self) -> bool:
        """Return whether it can be read, and takes what is written."""
        if self._database.problem is not None or num_stuck():
            return False
        if self._reading is None or self._reading.done():  # else one that hangs: no more are put behind it
            self._reading = asyncio.create_task(self._database.require_readable(), name="database check")
        reading = self._reading
        await asyncio.wait((reading,), timeout=_ANSWERS_WITHIN_S)
        return reading.done() and reading.exception() is None

    def _list_problems(self) -> Iterator[str]:
        if not self.is_connected:
            yield f"Discord: {self._discord}"
        if not self._generation.is_ready:
            yield from self._list_workers_down()
        if stuck := num_stuck():
            yield f"Storage refuses {stuck} writes; they are tried again. Is the disk full, or read-only?"
        if (lost := self._database.problem) is not None:
            yield lost
        yield from self._problems

    def _list_workers_down(self) -> Iterator[str]:
        """Yield what is wrong with which worker: a problem if none is up, else it makes the bot slower."""
        workers = self._generation.workers
        for each in workers:
            which = f"worker {each.name}" if len(workers) > 1 else "worker"
            if each.is_unfit:
                yield f"The {which} cannot be used: {each.trouble}"
            elif not each.num_slots:
                yield f"The {which} is starting or restarting{f' ({each.trouble})' if each.trouble else ''}."
        if self._fleet is not None:
            yield from self._fleet.list_troubles()


def _describe(worker: WorkerStatus) -> dict[str, object]:
    """Return what `/healthz` says of a worker."""
    speed = worker.units_per_s
    return {
        "name": worker.name,
        "device": worker.device,
        "slots": worker.num_slots,
        "running": worker.num_images,
        "steps_a_minute": None if speed is None else round(60 * speed / UNITS_PER_STEP, 1),
        "losses": worker.num_losses,
        "loaded": [each.name for each in worker.loaded],
    }
