"""The processes that screen. Each starts when it is first needed, and is replaced when it meets its limit."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from generation.errors import unpack_error
from generation.rules import process
from generation.rules.process import Build, Matched, NotBuilt, NotUsable, Screen
from generation.rules.rulebook import Match, RuleSet

T = TypeVar("T")
SCREEN_CPU_S = 0.25
"""A hundred times what it usually takes."""
BUILD_CPU_S = 5.0
_CLOCK_FACTOR, _CLOCK_EXTRA_S = 8, 10.0
"""By the clock a request may take longer, because the machine may be busy; this only ends what hangs."""
_ANSWERS: msgspec.msgpack.Decoder[process.Answer] = msgspec.msgpack.Decoder(process.Answer)
_LIMIT_SIGNAL = getattr(signal, "SIGPROF", 0)
_ROOT = Path(__file__).resolve().parents[2]


class StoppedError(Exception):
    """The process met its limit, or died."""


class Child:
    """One screening process, started when it is first needed. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = self._met_limit = False

    def ask(self, request: process.Request, *, cpu_s: float) -> process.Answer:
        """Return the process's answer, retrying once if it ended. Raise `StoppedError` if it met the limit."""
        limited = process.Limited(request, cpu_s)
        answer = self._try(limited)
        if answer is None and not self._met_limit:
            answer = self._try(limited)
        if answer is None:
            raise StoppedError
        return answer

    def _try(self, limited: process.Limited) -> process.Answer | None:
        running = self._process or self._start()
        assert running.stdin is not None and running.stdout is not None
        watchdog = threading.Timer(limited.cpu_s * _CLOCK_FACTOR + _CLOCK_EXTRA_S, self._stop_hanging, (running,))
        watchdog.start()
        try:
            process.write_frame(running.stdin, limited)
            return _ANSWERS.decode(process.read_frame(running.stdout))
        except (EOFError, OSError, ValueError):
            self.end()
            self._met_limit |= running.returncode == -_LIMIT_SIGNAL
            return None
        finally:
            watchdog.cancel()

    def _stop_hanging(self, running: subprocess.Popen[bytes]) -> None:
        self._met_limit = True
        running.kill()

    def screen(self, rules: RuleSet, texts: Sequence[str]) -> tuple[Match, ...]:
        """Return the matches. Raise `InvalidRequestError` for rules that cannot be compiled, `StoppedError` at the
        limit."""
        request = Screen(rules.key, list(texts))
        answer = self.ask(request, cpu_s=SCREEN_CPU_S)
        if isinstance(answer, NotBuilt):
            self.build(rules)
            answer = self.ask(request, cpu_s=SCREEN_CPU_S)
        if not isinstance(answer, Matched):
            raise StoppedError
        return tuple(answer.matches)

    def build(self, rules: RuleSet) -> None:
        """Compile and keep the rules. Raise `InvalidRequestError` or `StoppedError`."""
        packed = [(rule.kind.value, rule.text) for rule in rules.rules]
        answer = self.ask(Build(rules.key, packed), cpu_s=BUILD_CPU_S)
        if isinstance(answer, NotUsable):
            raise unpack_error(answer.error)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise StoppedError
        self._met_limit = False
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", process.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | {"PYTHONPATH": str(_ROOT)},
            cwd=_ROOT,
        )
        return self._process

    def close(self) -> None:
        """End for good."""
        self._is_closed = True
        self.end()

    def end(self) -> None:
        """Kill the process; the next request starts another."""
        ended, self._process = self._process, None
        if ended is None:
            return
        ended.kill()
        for stream in (ended.stdin, ended.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]  # both are pipes
        ended.wait()


class Lane:
    """Some children, each with a thread that waits for it."""

    def __init__(self, number: int) -> None:
        self._children = [Child() for _ in range(number)]
        self._free: queue.LifoQueue[Child] = queue.LifoQueue()  # the one used last has the rules at hand
        for child in self._children:
            self._free.put(child)
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="screening")

    def submit(self, work: Callable[[Child], T]) -> Future[T]:
        """Hand the request to the next free child."""
        return self._pool.submit(self._run_with_child, work)

    def end(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()

    def _run_with_child(self, work: Callable[[Child], T]) -> T:
        child = self._free.get()
        try:
            return work(child)
        finally:
            self._free.put(child)
