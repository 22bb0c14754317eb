"""How soon a gateway connection may be opened and a session started, so that no fault turns into a hot loop.

discord.py resumes at once and without limit whenever Discord closes a connection, and knows nothing of
`session_start_limit`. Discord answers a second IDENTIFY of one bucket within 5 s with an invalid session, and resets
the token of a bot that identifies more often than a day allows. One `Pacing` outlives all clients of a process; what
earlier processes have used of the day, Discord says.

Source: https://discord.com/developers/docs/events/gateway#session-start-limit-object
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

log = logging.getLogger(__name__)
_RECENT_S, _NUM_FREE, _LONGEST_PAUSE_S = 300.0, 3, 30.0
"""Connections of one shard within five minutes: the first three at once, then after 1, 2, 4 ... 30 s. discord.py gives
up an attempt after 60 s, so the longest pause is shorter than that."""
BUCKET_EVERY_S = 5.5
"""Between two sessions of one bucket. Discord asks for 5 s, by the time it hears of them."""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What Discord allows a bot now. Shards of one `shard_id % max_concurrency` share a bucket."""

    total: int = 1000
    remaining: int = 1000
    reset_after_s: float = _DAY_S
    max_concurrency: int = 1


class Pacing:
    """Remember when connections were opened and sessions started. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened: defaultdict[int, deque[float]] = defaultdict(deque)
        self._started: dict[int, float] = {}
        self._last_start = -_DAY_S
        self._resets_at = clock()
        self._limits = SessionLimits()
        self._remaining = 0

    @property
    def needs_limits(self) -> bool:
        """Whether the limits are unknown, or of a day that is over."""
        return self._clock() >= self._resets_at

    def set_limits(self, limits: SessionLimits) -> None:
        """Take what Discord says; it counts the sessions of other processes too."""
        self._limits = limits
        self._remaining = limits.remaining
        self._resets_at = self._clock() + max(limits.reset_after_s, BUCKET_EVERY_S)

    async def wait_to_connect(self, shard_id: int) -> None:
        """Return once the shard may open a connection, and count it."""
        await self._pass(lambda: self.connect_pause_s(shard_id))
        self._opened[shard_id].append(self._clock())

    async def wait_until_free(self, shard_id: int) -> None:
        """Return once the shard may start a session, without counting one."""
        if (left_s := self.identify_pause_s(shard_id)) > _LONGEST_PAUSE_S:
            log.warning("shard=%s action=session-waits left=%s wait_s=%.0f", shard_id, self._remaining, left_s)
        await self._pass(lambda: self.identify_pause_s(shard_id))

    async def wait_to_identify(self, shard_id: int) -> None:
        """Return once the shard may start a session, and count it. It has to be started at once."""
        await self._pass(lambda: self.identify_pause_s(shard_id))
        self._last_start = self._started[self._bucket(shard_id)] = self._clock()
        self._remaining -= 1

    def connect_pause_s(self, shard_id: int) -> float:
        """Return how many seconds are left until the shard may open a connection."""
        now = self._clock()
        opened = _since(self._opened[shard_id], now - _RECENT_S)
        return opened[-1] + _grow(len(opened) - _NUM_FREE) - now if opened else 0.0

    def identify_pause_s(self, shard_id: int) -> float:
        """Return how many seconds are left until the shard may start a session.

        Half of a day's sessions are started as soon as their bucket is free, the rest evenly until the day is over.
        """
        if self.needs_limits:
            self.set_limits(replace(self._limits, remaining=self._limits.total, reset_after_s=_DAY_S))
        now = self._clock()
        at = self._started.get(self._bucket(shard_id), -_DAY_S) + BUCKET_EVERY_S
        if self._remaining <= 0:
            at = max(at, self._resets_at)
        elif self._remaining <= self._limits.total // 2:
            at = max(at, self._last_start + (self._resets_at - self._last_start) / (self._remaining + 1))
        return at - now

    def _bucket(self, shard_id: int) -> int:
        return shard_id % self._limits.max_concurrency

    async def _pass(self, pause_s: Callable[[], float]) -> None:
        while (left_s := pause_s()) > 0:  # noqa: ASYNC110 - other shards start too
            await asyncio.sleep(left_s)


def _grow(number: int) -> float:
    return 0.0 if number < 0 else min(_LONGEST_PAUSE_S, 2.0**number)


def _since(times: deque[float], start: float) -> deque[float]:
    """Forget what is older than `start`."""
    while times and times[0] < start:
        times.popleft()
    return times
