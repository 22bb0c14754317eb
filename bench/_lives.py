"""Bot processes to be killed, started cheaply: one parent imports the whole program once and forks each life.

Run as a program (`python -m bench._lives`) this is that parent: it reads a line of JSON for each life to start
(`environment`, `folder`, `log`), answers with its `pid`, and says how each one `ended`. Each life is `bot.py serve`,
unchanged but for what the options replace: the engine in its worker (`--engine`), its patience, and what a function
replaces that is named as MODULE:NAME (`--changed-by`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
HANG_S = 6.0
"""How long a light worker may be silent before it counts as hanging."""
_LAST_WORDS = 20


class CannotStartError(Exception):
    """A bot that nothing was done to has ended."""


class Lives:
    """The side that starts lives. `open`, then `start` any number of times; `close` ends the living ones."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._listening = asyncio.create_task(self._listen(), name="lives")

    @classmethod
    async def open(
        cls,
        *,
        engine: str | None = None,
        nice: int | None = 0,
        hang_s: float = HANG_S,
        changed_by: str = "",
        counters: Path | None = None,
    ) -> Lives:
        """`engine` and its `nice` as in `WorkerConfig`, None for the usual one; `hang_s` as in `LocalWorker`.

        `changed_by` names a function as MODULE:NAME. The parent calls it once, before it forks. `counters`: the folder
        in which each life keeps what it counts, so that it outlives it.
        """
        options = [*(["--engine", engine] if engine else []), *(["--changed-by", changed_by] if changed_by else [])]
        options += ["--hang-s", str(hang_s), *(["--nice", str(nice)] if nice is not None else [])]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench._lives",
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {"PYTHONPATH": str(ROOT)}
            | ({"PROMETHEUS_MULTIPROC_DIR": str(counters)} if counters is not None else {}),
        )
        return cls(process)

    async def start(self, environment: dict[str, str], folder: Path, log: Path) -> Life:
        assert self._process.stdin is not None
        order = {"environment": environment, "folder": str(folder), "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        starting = asyncio.create_task(self._started.get())
        await asyncio.wait((starting, self._listening), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            raise CannotStartError(f"what forks the bots ended with status {await self._process.wait()}")
        pid = starting.result()
        return Life(pid, self._ends[pid], log)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "pid" in said:
                self._ends[said["pid"]] = asyncio.get_running_loop().create_future()
                self._started.put_nowait(said["pid"])
            else:
                self._ends[said["ended"]].set_result(said["status"])


class Life:
    """One bot, and its child, the worker."""

    def __init__(self, pid: int, end: asyncio.Future[int], log: Path) -> None:
        self.pid = pid
        self._end, self._log = end, log

    @property
    def is_over(self) -> bool:
        return self._end.done()

    async def over(self, *, timeout_s: float) -> bool:
        """Wait for its end; return whether it came."""
        done, _ = await asyncio.wait((self._end,), timeout=timeout_s)
        return bool(done)

    def send(self, number: Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if not self.is_over:
                os.kill(self.pid, number)

    def signal_worker(self, number: Signals, *, index: int = 0) -> bool:
        """Send the signal to one of its workers; return whether there was one."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            if children:
                children[index % len(children)].send_signal(number)
                return True
        return False

    def require_going_or_killed(self) -> None:
        """Raise `CannotStartError`, with its last words, if it ended by itself."""
        if self.is_over and self._end.result() >= 0:
            words = "".join(self._log.read_text(errors="replace").splitlines(keepends=True)[-_LAST_WORDS:])
            raise CannotStartError(f"the bot ended with status {self._end.result()}:\n{words}")

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self._end

    async def status(self) -> int:
        """Return how it ended: 0 and above by itself, below by that signal."""
        return await self._end


# The parent's side, a program.


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine")
    parser.add_argument("--nice", type=int)
    parser.add_argument("--hang-s", type=float, default=HANG_S)
    parser.add_argument("--changed-by", default="")
    options = parser.parse_args()
    _prepare(options)
    gc.freeze()
    living: set[int] = set()
    is_open, said = True, b""
    while is_open or living:
        if select.select([0] if is_open else [], [], [], 0.02)[0]:
            more = os.read(0, 65536)
            is_open, said = bool(more), said + more
            while b"\n" in said:
                line, _, said = said.partition(b"\n")
                living.add(_fork(json.loads(line)))
        if not is_open:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
        for pid in list(living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                living.discard(pid)
                print(json.dumps({"ended": pid, "status": os.waitstatus_to_exitcode(status)}), flush=True)


def _prepare(options: argparse.Namespace) -> None:
    """Import all that a bot needs, and replace its parts as the options say."""
    import cli.app
    import cli.execution
    import cli.serve
    import cli.workers
    import discord_sandbox  # noqa: F401
    from generation.workers.frames import WorkerConfig
    from generation.workers.local import LocalWorker

    program: Any = cli.workers
    if options.engine:
        assert (program.WorkerConfig, program.LocalWorker) == (WorkerConfig, LocalWorker), "workers are made elsewhere"
        niceness = {} if options.nice is None else {"nice": options.nice}
        program.WorkerConfig = partial(WorkerConfig, engine=options.engine, **niceness)
        program.LocalWorker = partial(LocalWorker, hang_s=options.hang_s, first_pause_s=0.02)
        vars(cli.execution)["start_early"] = lambda: None  # it imports torch, which these engines do without
    if options.changed_by:
        module, _, name = options.changed_by.partition(":")
        getattr(importlib.import_module(module), name)()


def _fork(order: dict[str, Any]) -> int:
    from cli import app

    pid = os.fork()
    if pid:
        print(json.dumps({"pid": pid}), flush=True)
        return pid
    status = 70
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((null, log, log)):
            os.dup2(descriptor, number)
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        status = app.app(["serve"], standalone_mode=False) or 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
