"""How soon a gateway connection may be opened again, so that no fault turns into a hot loop.

discord.py resumes at once and without limit whenever Discord closes a connection. Discord resets the token of a bot
that identifies more than 1000 times a day. One `Pacing` outlives all clients of a process.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable

_RECENT_S, _NUM_FREE, _LONGEST_PAUSE_S = 300.0, 3, 30.0
"""Connections of one shard within five minutes: the first three at once, then after 1, 2, 4 ... 30 s. discord.py gives
up an attempt after 60 s, so the longest pause is shorter than that."""
_DAY_S, _NUM_IDENTIFIES, _IDENTIFY_EVERY_S = 86_400.0, 100, 120.0
"""Beyond 100 identifies a day, one in two minutes: at most 820 a day, where Discord allows 1000."""


class Pacing:
    """Remember when connections were opened. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened: defaultdict[int, deque[float]] = defaultdict(deque)
        self._identified: deque[float] = deque()

    async def wait(self, shard_id: int, *, is_resume: bool) -> None:
        """Return once the shard may connect, and count the connection."""
        while (pause_s := self.pause_s(shard_id, is_resume=is_resume)) > 0:  # noqa: ASYNC110 - other shards connect too
            await asyncio.sleep(pause_s)
        now = self._clock()
        self._opened[shard_id].append(now)
        if not is_resume:
            self._identified.append(now)

    def pause_s(self, shard_id: int, *, is_resume: bool) -> float:
        """Return how many seconds are left until the shard may connect."""
        now = self._clock()
        opened = _since(self._opened[shard_id], now - _RECENT_S)
        at = opened[-1] + _grow(len(opened) - _NUM_FREE) if opened else now
        identified = _since(self._identified, now - _DAY_S)
        if not is_resume and len(identified) >= _NUM_IDENTIFIES:
            at = max(at, identified[-1] + _IDENTIFY_EVERY_S)
        return at - now


def _grow(number: int) -> float:
    return 0.0 if number < 0 else min(_LONGEST_PAUSE_S, 2.0**number)


def _since(times: deque[float], start: float) -> deque[float]:
    """Forget what is older than `start`."""
    while times and times[0] < start:
        times.popleft()
    return times
