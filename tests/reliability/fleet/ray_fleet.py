"""A fleet as `docs/fleet.md` has people type it: `fleet head` on the desk and `fleet join` on each machine.

Each is a service that is started again whenever it ends, as systemd does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.reliability.fleet.machines import DESK, Machine, signal_all

ROOT = Path(__file__).resolve().parents[3]
HEAD = f"{DESK}:6379"
LEAN = os.pathsep.join(map(str, (ROOT / "tests/generation/fleet/lean", ROOT / "tests/reliability/fleet/patient")))
"""What Python finds first: Ray's processes load less, and wait longer."""
_STARTED = "Ray runtime started"
_START_S = 900.0
_RESTART_S = 0.5


class Service:
    """A command that is started again whenever it ends. `list_processes`: what goes with it then, besides itself."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        environment: dict[str, str],
        log: Path,
        list_processes: Callable[[], Iterable[psutil.Process]],
    ) -> None:
        self._words, self._environment, self._log = words, os.environ | environment, log
        self._list_processes = list_processes
        self._process: asyncio.subprocess.Process | None = None
        self._running = asyncio.create_task(self._run(), name=f"service {words[-1]}")
        self.num_starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        await self._end()

    async def _run(self) -> None:
        while True:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    cwd=ROOT,
                )
            self.num_starts += 1
            await self._process.wait()
            await self._end()
            await asyncio.sleep(_RESTART_S)

    async def _end(self) -> None:
        """End all of it, which a service manager does when the first process ends."""
        signal_all(self._list_processes(), signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()


@dataclass
class RayFleet:
    """A head on the desk, and machines that joined it."""

    folder: Path
    machines: list[Machine] = field(default_factory=list)
    _services: dict[str, Service] = field(default_factory=dict)
    _head: Service | None = None

    @property
    def token_file(self) -> Path:
        return self.folder / "head" / "fleet-token"

    async def start(self, names: Iterable[str]) -> None:
        await self.start_head()
        for number, name in enumerate(names, start=2):
            self.machines.append(Machine(name, number))
        await self.join()

    async def start_head(self) -> None:
        """Run `fleet head` until `kill_head`; return when its machines can join."""
        self._head = await self._start("head", python("fleet", "head", "--on", DESK), list_processes=list)

    async def join(self) -> None:
        """Run `fleet join` on each machine, one after the other: Ray gives one that is too slow up."""
        for machine in self.machines:
            words = [*machine.inside, *python("fleet", "join", HEAD, "--token-file", str(self.token_file))]
            service = await self._start(machine.name, words, list_processes=machine.list_processes)
            self._services[machine.name] = service

    async def _start(
        self, name: str, words: Sequence[str], *, list_processes: Callable[[], Iterable[psutil.Process]]
    ) -> Service:
        log = self.folder / f"{name}.log"
        log.touch()
        before = len(log.read_text())
        service = Service(words, environment=self._environment(name), log=log, list_processes=list_processes)
        async with asyncio.timeout(_START_S):
            while _STARTED not in log.read_text()[before:]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return service

    async def kill_head(self) -> None:
        """End Ray's head, and all of it that is on the desk."""
        assert self._head is not None and self._head.pid is not None
        doomed = psutil.Process(self._head.pid).children(recursive=True)
        signal_all((each for each in doomed if "gcs_server" in each.name()), signal.SIGKILL)
        await self._head.stop()
        signal_all(doomed, signal.SIGKILL)

    async def join_again(self) -> None:
        """Start the head again, and then the machines, as the operator is told to.

        The machines are stopped first: Ray starts no head where it sees processes that belong to one, and here it sees
        those of all machines.
        """
        await self._leave()
        await self.start_head()
        await self.join()

    async def stop(self) -> None:
        await self._leave()
        if self._head is not None and self._head.pid is not None:
            await self.kill_head()

    async def _leave(self) -> None:
        for service in self._services.values():
            await service.stop()

    def _environment(self, name: str) -> dict[str, str]:
        data = self.folder / name
        data.mkdir(parents=True, exist_ok=True)
        return {"ATELIER_DATA_DIR": str(data), "ATELIER_HOME": str(data), "PYTHONPATH": LEAN}


def python(*words: str) -> list[str]:
    """Return the command that runs `bot.py` with these words."""
    return [sys.executable, "-W", "ignore", str(ROOT / "bot.py"), *words]
