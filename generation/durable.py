"""Writes that must happen: what was promised is recorded, however long storage needs to come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from generation.retry import growing

log = logging.getLogger(__name__)
T = TypeVar("T")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_stuck: set[object] = set()


def num_stuck() -> int:
    """Return the number of writes that storage has refused and that are being retried; above 0 is worth an alert."""
    return len(_stuck)


async def durably(write: Callable[[], Awaitable[T]]) -> T:
    """Retry a write until it works, with growing pauses, when storage fails (full, locked)."""
    pauses = growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    try:
        while True:
            try:
                return await write()
            except Exception:
                pause_s = next(pauses)
                log.exception("action=storage-failed next_try_s=%.1f", pause_s)
            _stuck.add(write)
            await asyncio.sleep(pause_s)
    finally:
        _stuck.discard(write)
