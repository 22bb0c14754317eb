"""The process of a worker, as its parent starts and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from generation.workers.environment import worker_environment

_ROOT = Path(__file__).resolve().parents[2]


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


def kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def describe_exit(returncode: int | None) -> str:
    """Return why a process ended, from its exit status."""
    if returncode is not None and returncode < 0:
        return f"its process was ended by {signal.Signals(-returncode).name}"
    return f"its process ended with status {returncode}"
