"""Engine processes forked from one that has torch and diffusers imported: four seconds of processor time less each.

They run what `python -m generation.workers.child` runs, in a process of their own that can be frozen and killed. That a
process starts and ends by itself is tested with the real `spawn`, in `tests/contracts` and `tests/cli`. The server is
multiprocessing's: it has one thread, and ends with the process of the tests.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from generation.errors import ConfigurationError
from generation.workers import child
from generation.workers.environment import worker_environment
from generation.workers.pipes import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
_SERVED = "from multiprocessing."
"""In the command of multiprocessing's own processes."""


class ForkedProcess:
    """What `LocalWorker` uses of an `asyncio.subprocess.Process`."""

    def __init__(self, process: Any, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader) -> None:
        self._process, self.stdin, self.stdout = process, stdin, stdout
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int | None:
        if self.returncode is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._process.sentinel, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._process.sentinel)
        return self.returncode


async def fork() -> ForkedProcess:
    """Start an engine process, as `spawn` does."""
    context = multiprocessing.get_context("forkserver")
    _start_server()
    (child_in, ours_in), (ours_out, child_out) = os.pipe(), os.pipe()
    pipes = _Passed(child_in), _Passed(child_out)
    process = context.Process(target=_run, args=(*pipes, worker_environment(os.environ)))
    await asyncio.to_thread(process.start)  # the first one waits for the server's imports
    os.close(child_in)
    os.close(child_out)
    loop, stdout = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(ours_out, "rb"))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(ours_in, "wb")
    )
    return ForkedProcess(process, asyncio.StreamWriter(transport, protocol, None, loop), stdout)


def list_children() -> Iterator[psutil.Process]:
    """Yield the child processes of this one and those of the server, without the servers of the whole run."""
    for process in psutil.Process().children():
        try:
            if process.name() == "postgres":  # that of tests/postgres.py, which stays until the run ends
                continue
            is_server = any(_SERVED in word for word in process.cmdline())
            yield from process.children() if is_server else (process,)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue


def _start_server() -> None:
    """Start it unless it runs. What it cannot import it passes over, so it must find it from wherever a test is."""
    forkserver.set_forkserver_preload(["tests.preloaded_engine", __name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        forkserver.ensure_running()


class _Passed:
    """A file descriptor that is handed on to the process that is started."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _receive, (DupFd(self._number),)


def _receive(handle: Any) -> int:
    number: int = handle.detach()
    return number


def _build_or_say(build: Callable[..., Any], *arguments: Any) -> Any:
    """Build an engine. Raise `ConfigurationError` with the words of any error: to start another would end the same
    way, and a test would wait for it until its patience is over."""
    try:
        return build(*arguments)
    except ConfigurationError:
        raise
    except Exception:
        raise ConfigurationError(problem=traceback.format_exc(), remedy="") from None


def _run(stdin: int, stdout: int, environment: Mapping[str, str]) -> NoReturn:
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.close(stdin)
    os.close(stdout)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    # Its parent is the server, which ends with the tests.
    vars(child)["die_with_parent"] = lambda parent_pid: die_with_parent(0)
    vars(child)["_build"] = partial(_build_or_say, vars(child)["_build"])
    status = child.main()
    sys.stderr.flush()
    os._exit(status)
