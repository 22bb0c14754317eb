"""Starts the first worker's process while its parent still imports what it needs itself: two seconds on two cores.

The process imports the engine first and reads its `WorkerConfig` then. Imports next to nothing.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from pathlib import Path

from generation.workers.environment import worker_environment

IMPORTS_FIRST = "--imports-first"
_ROOT = Path(__file__).resolve().parents[2]
_started: list[subprocess.Popen[bytes]] = []


def start_early() -> None:
    """Start the process that the first `take_early` returns, once. One that is not taken ends with its parent."""
    if _started:
        return
    try:
        process = subprocess.Popen(
            [*build_command(), IMPORTS_FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=build_environment()
        )
    except OSError:
        return  # the worker tries again, and says so
    _started.append(process)
    atexit.register(end_early)


def take_early() -> subprocess.Popen[bytes] | None:
    """Return the process that was started early, once; None if there is none, or it has ended."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            return process
    return None


def end_early() -> None:
    """End a process that was not taken."""
    if (process := take_early()) is not None:
        process.kill()
        process.communicate()


def build_command() -> list[str]:
    """Return the command of a worker's process."""
    return [sys.executable, "-m", "generation.workers.child"]


def build_environment() -> dict[str, str]:
    """Return the environment of a worker's process."""
    environment = worker_environment(os.environ)
    for name, value in build_waiting_settings().items():
        environment.setdefault(name, value)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    return environment


def build_waiting_settings() -> dict[str, str]:
    """Return the part of a worker's environment that says how the threads of a forward wait for each other."""
    # Threads that spin while they wait for each other starve others on the same cores: on a busy machine of two
    # cores pictures took five times as long. Half a millisecond spares nearly all sleeps where cores are idle; where
    # they are not, forwards have fewer threads (`generation.engine.thread_choice`). It does not change bits.
    if sys.platform != "linux":
        return {"OMP_WAIT_POLICY": "PASSIVE"}
    return {
        "OMP_WAIT_POLICY": "ACTIVE",  # GNU's OpenMP waits 1,000 rounds with more threads than cores; none if PASSIVE
        "GOMP_SPINCOUNT": str(_find_rounds()),  # goes before the policy
        "KMP_BLOCKTIME": "1",  # milliseconds, where torch has Intel's
    }


def _find_rounds() -> int:
    """Return the rounds of waiting that take about half a millisecond.

    One is a `pause` instruction: some 140 cycles on Intel's processors, 65 on AMD's.
    """
    try:
        is_amd = "AuthenticAMD" in Path("/proc/cpuinfo").read_text()[:1000]
    except OSError:
        is_amd = False
    return 25_000 if is_amd else 10_000
