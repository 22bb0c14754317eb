"""The event loop is watched: how late it is, and where it stands when it does not turn."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing

import pytest

from cli.loop_lag import LoopLag, LoopWatchdog
from tests.patience import PATIENCE_S, until


async def test_a_blocked_loop_shows() -> None:
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)
    block_until_s = time.perf_counter() + 0.2
    while time.perf_counter() < block_until_s:
        pass  # the thing to be noticed
    await until(lag.p99_ms)
    watching.cancel()
    assert lag.p99_ms() > 100


class CountingEvent(threading.Event):
    """Says when it was waited for `enough` times since `stuck`."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.enough, self._num_looks = threading.Event(), threading.Event(), 0

    def wait(self, timeout: float | None = None) -> bool:
        self._num_looks += self.stuck.is_set()
        if self._num_looks > 5:
            self.enough.set()
        return super().wait(timeout)


def block_the_loop(until: threading.Event) -> None:
    secret = "".join(["can", "ary"])
    assert until.wait(PATIENCE_S), secret


async def test_a_stuck_loop_is_logged_once_with_the_line_it_stands_at(caplog: pytest.LogCaptureFixture) -> None:
    lag, looks = LoopLag(), CountingEvent()
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)
    watchdog = LoopWatchdog(lag, stuck_s=0.04, on_stuck=looks.stuck.set)
    watchdog._ended = looks
    with closing(watchdog):
        watchdog.start()
        block_the_loop(looks.enough)
    watching.cancel()
    said = [record.getMessage() for record in caplog.records if "loop-stuck" in record.getMessage()]
    assert len(said) == 1
    assert "in block_the_loop" in said[0]
    assert "canary" not in said[0], "lines of code, no values"
