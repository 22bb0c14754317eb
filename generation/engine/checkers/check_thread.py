"""A thread that looks at pictures, so that no denoising step waits for a checker. One look at a time.

What is asked waits in order; the engine asks for no more than `MAX_WAITING` finished pictures at once. A look that
does not end is given up: its picture is kept back, and another thread takes the next ones. A thread cannot be ended, so
after a few such looks the whole process is (`CheckerHangsError`), and its supervisor starts another.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from generation.engine.threads import use_threads
from generation.safety.verdict import Scores

MAX_WAITING = 8
_MAX_GIVEN_UP = 3


class CheckerHangsError(Exception):
    """The safety checker did not end again and again: this process is to be replaced."""


@dataclass(eq=False, slots=True)
class Look:
    """One picture to look at, or already looked at; with its thread's clock."""

    work: Callable[[], Scores]
    result: Future[Scores] = field(default_factory=Future)
    begun_at: float = 0.0


class CheckThread:
    """Runs looks in order. `timeout_s` is for one look, from when it begins; `threads` compute it."""

    def __init__(self, timeout_s: float, *, threads: int = 1) -> None:
        self._timeout_s = timeout_s
        self._threads = threads
        self._looks: queue.SimpleQueue[Look | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: Look | None = None
        self._num_given_up = 0
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], Scores]) -> Look:
        """Have the work done. Its result, or error, is the look's."""
        look = Look(work)
        self._looks.put(look)
        if self._thread is None:
            self._start()
        return look

    def give_up_late(self) -> None:
        """End the present look with `TimeoutError` if it takes too long. Raise `CheckerHangsError` if many did."""
        with self._lock:
            look = self._current
            if look is None or time.monotonic() - look.begun_at < self._timeout_s:
                return
            self._current = None
            look.result.set_exception(TimeoutError(f"it took longer than {self._timeout_s:g} s"))
        self._num_given_up += 1
        if self._num_given_up > _MAX_GIVEN_UP:
            raise CheckerHangsError()
        self._start()

    def close(self) -> None:
        """Let the thread end after what waits."""
        if self._thread is not None:
            self._looks.put(None)
            self._thread = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="checker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        use_threads(self._threads)
        while (look := self._looks.get()) is not None:
            with self._lock:
                look.begun_at = time.monotonic()
                self._current = look
            finish = _do(look)
            with self._lock:
                if self._current is not look:  # given up: another thread has taken over
                    return
                self._current = None
                finish()


def _do(look: Look) -> Callable[[], None]:
    """Do the work. Return what tells its result, or its error."""
    try:
        scores = look.work()
    except BaseException as error:
        return partial(look.result.set_exception, error)
    return partial(look.result.set_result, scores)
