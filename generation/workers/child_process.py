"""The process of a worker, as its parent starts and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Protocol

from generation.workers.early_start import build_command, build_environment, take_early

_VMSTAT = Path("/proc/vmstat")


class EngineProcess(Protocol):
    """What a worker's supervisor uses of an `asyncio.subprocess.Process`."""

    @property
    def stdin(self) -> asyncio.StreamWriter | None: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int | None: ...


async def spawn() -> EngineProcess:
    """Start `generation.workers.child`, which waits for its `WorkerConfig`, or return one that was started early."""
    early = take_early()
    if early is not None:
        return await _adopt(early)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*build_command(), stdin=pipe, stdout=pipe, env=build_environment())


class _EarlyProcess:
    """A process that was started before there was an event loop."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader
    ) -> None:
        self._process, self.stdin, self.stdout = process, stdin, stdout
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        return await asyncio.to_thread(self._process.wait)


async def _adopt(process: subprocess.Popen[bytes]) -> _EarlyProcess:
    loop, stdout = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), process.stdout)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), process.stdin
    )
    return _EarlyProcess(process, asyncio.StreamWriter(transport, protocol, None, loop), stdout)


def kill(process: EngineProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def count_memory_kills() -> int:
    """Return how many processes Linux has killed since it started because memory ran out; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(dict(line.split() for line in _VMSTAT.read_text("ascii").splitlines())["oom_kill"])
    return 0


def describe_exit(returncode: int | None, *, memory_kills: int | None = None) -> str:
    """Return why a process ended, from its exit status. `memory_kills`: what was counted before it started; without
    it nothing is said of memory."""
    if returncode is not None and returncode < 0:
        is_full = -returncode == signal.SIGKILL and memory_kills is not None and count_memory_kills() > memory_kills
        why = ": memory ran out. ATELIER_MEMORY and --storage fp8 need less" if is_full else ""
        return f"its process was ended by {signal.Signals(-returncode).name}{why}"
    return f"its process ended with status {returncode}"
