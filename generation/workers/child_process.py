"""The process of a worker, as its parent starts and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

from generation.workers.environment import worker_environment

_ROOT = Path(__file__).resolve().parents[2]
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


async def spawn() -> asyncio.subprocess.Process:
    """Start `generation.workers.child`, which waits for its `WorkerConfig`."""
    environment = worker_environment(os.environ)
    # Threads that spin while they wait for each other starve others on the same cores: on a busy machine of two
    # cores pictures took five times as long. How threads wait does not change bits.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "generation.workers.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )


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
