"""Says that a worker is alive while its engine is deep in long work, as long as that work gets on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType

from generation.progress import measure


class SignOfLife:
    """Calls `say` from a thread, every `every_s` seconds in which `progress.measure` has changed. 0: never."""

    def __init__(self, say: Callable[[], None], *, every_s: float) -> None:
        self._say = say
        self._every_s = every_s
        self._seen = measure()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sign of life", daemon=True)

    def __enter__(self) -> SignOfLife:
        if self._every_s:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread: one that still writes when the interpreter shuts down would stop it."""
        self._ended.set()
        if self._every_s:
            self._thread.join()

    def look(self) -> None:
        """Give a sign if work got on since the last look."""
        now = measure()
        if now != self._seen:
            self._seen = now
            self._say()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            while not self._ended.wait(self._every_s):
                self.look()
