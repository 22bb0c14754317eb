"""Waits for what says nothing when it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(predicate: Callable[[], bool], *, timeout_s: float, every_s: float = 0.01) -> None:
    """Wait for something that says nothing when it comes: a process, a file."""
    until = time.monotonic() + timeout_s
    while not predicate() and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(every_s)
