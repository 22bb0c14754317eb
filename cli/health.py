"""`/healthz`: one loopback page that says how the bot is, for a container's health check and for people.

It also measures what matters most to Discord: how late the event loop runs.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from aiohttp import web

from db.engine import Database
from generation.errors import ConfigurationError
from generation.fleet.fleet import Fleet
from generation.requests.cost import UNITS_PER_STEP
from generation.retry import Problems, num_stuck
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_status import WorkerStatus

_EVERY_S = 0.02
_SAMPLES = 6000


class LoopLag:
    """How late a timer of the event loop fires, over the last two minutes. Milliseconds."""

    def __init__(self) -> None:
        self._late_ms: deque[float] = deque(maxlen=_SAMPLES)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            due_s = time.perf_counter() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late_ms.append(max(0.0, (time.perf_counter() - due_s) * 1000))

    def reset(self) -> None:
        self._late_ms.clear()

    def p99_ms(self) -> float:
        """Return the 99th percentile of the samples, 0 before the first."""
        late = sorted(self._late_ms)
        return late[int(0.99 * (len(late) - 1))] if late else 0.0


class HealthStatus:
    """What `/healthz` says of the parts of the bot."""

    def __init__(
        self, generation: GenerationService, database: Database, problems: Problems, *, fleet: Fleet | None = None
    ) -> None:
        self._generation, self._database, self._problems, self._fleet = generation, database, problems, fleet
        self._discord = "connecting"

    def set_discord(self, state: str) -> None:
        """Note the state of the connection to Discord; all but "connected" is a problem."""
        self._discord = state

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

    def _list_problems(self) -> Iterator[str]:
        if self._discord != "connected":
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


Facts = Callable[[], dict[str, object]]
"""What the rest of the program says about itself; key `problems` (a list of sentences) decides the status."""


@asynccontextmanager
async def serve_health(port: int, facts: Facts) -> AsyncIterator[LoopLag]:
    """Serve `/healthz` on 127.0.0.1 while the context lasts: 200 when well, 503 with the problems when not.

    Port 0 serves nothing but still measures. Raises `ConfigurationError` if the port is taken.
    """
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch(), name="loop lag")
    runner = await _start(port, facts, lag) if port else None
    try:
        yield lag
    finally:
        watching.cancel()
        if runner is not None:
            await runner.cleanup()


async def _start(port: int, facts: Facts, lag: LoopLag) -> web.AppRunner:
    async def healthz(request: web.Request) -> web.Response:
        body = facts() | {"loop_lag_p99_ms": round(lag.p99_ms(), 1), "tasks": len(asyncio.all_tasks())}
        return web.json_response(body, status=503 if body.get("problems") else 200)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        await runner.cleanup()
        raise _port_refused(port, error) from None
    return runner


def require_port(port: int) -> None:
    """Raise `ConfigurationError` unless the page can be served there: open the port, and let go of it at once."""
    with socket.socket() as trial:
        if os.name == "posix":  # as asyncio does; elsewhere it would share a port that is in use
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
            trial.listen()
        except OSError as error:
            raise _port_refused(port, error) from None


def _port_refused(port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        problem = f"Port {port} of this machine is in use, perhaps by another Atelier."
        return ConfigurationError(problem=problem, remedy="Stop that one, or set ATELIER_HEALTH_PORT.")
    if error.errno in (errno.EACCES, errno.EPERM):
        problem = f"Port {port} is kept for the system, and this user may not open it."
        return ConfigurationError(problem=problem, remedy="Set ATELIER_HEALTH_PORT to another from 1024 on.")
    problem = f"Port {port} cannot be opened on 127.0.0.1 ({os.strerror(error.errno or 0)})."
    return ConfigurationError(
        problem=problem, remedy="Check the network of this machine, or set ATELIER_HEALTH_PORT=0."
    )
