"""How late the event loop runs, measured on it; and a thread that says so where it does not run at all."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from generation import metrics

log = logging.getLogger(__name__)
EVERY_S = 0.02
_SAMPLES = 6000
STUCK_S = 5.0
"""Without a turn for so long the loop counts as stuck. Discord waits 3 s for an answer, and drops the bot after 40."""
_LOOKS = 4
"""Looks of the watchdog in that time."""


class LoopLag:
    """How late a timer of the event loop fires, over the last two minutes. Milliseconds."""

    def __init__(self) -> None:
        self._late_ms: deque[float] = deque(maxlen=_SAMPLES)
        self.turned_s = time.perf_counter()
        """When the loop was last seen to turn."""

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            due_s = time.perf_counter() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.turned_s = time.perf_counter()
            late_s = max(0.0, self.turned_s - due_s)
            self._late_ms.append(late_s * 1000)
            metrics.LOOP_LAG.observe(late_s)

    def reset(self) -> None:
        self._late_ms.clear()

    def p99_ms(self) -> float:
        """Return the 99th percentile of the samples, 0 before the first."""
        late = sorted(self._late_ms)
        return late[int(0.99 * (len(late) - 1))] if late else 0.0


class LoopWatchdog:
    """A thread that logs where the loop stands when it has not turned for `stuck_s`. Once for each time."""

    def __init__(self, lag: LoopLag, *, stuck_s: float = STUCK_S, on_stuck: Callable[[], None] = lambda: None) -> None:
        self._lag, self._stuck_s, self._on_stuck = lag, stuck_s, on_stuck
        self._ended = threading.Event()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)

    def start(self) -> None:
        """Watch the loop of the calling thread."""
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        noted_s = 0.0
        while not self._ended.wait(self._stuck_s / _LOOKS):
            turned_s = self._lag.turned_s
            if turned_s != noted_s and time.perf_counter() - turned_s > self._stuck_s:
                noted_s = turned_s
                self._note(time.perf_counter() - turned_s)

    def _note(self, silent_s: float) -> None:
        """Say what the loop is busy with: lines of code, without any value."""
        self._on_stuck()
        metrics.LOOP_STALLS.inc()
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        log.error("action=loop-stuck silent_s=%.0f at:\n%s", silent_s, stack.rstrip())
