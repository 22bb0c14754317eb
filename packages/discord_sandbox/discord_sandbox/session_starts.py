"""How many sessions a bot may start, and how fast: `session_start_limit` of `GET /gateway/bot`.

Source: https://discord.com/developers/docs/events/gateway#session-start-limit-object,
https://discord.com/developers/docs/events/gateway#rate-limiting
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from typing import Protocol

from discord_sandbox.json_types import Json

WINDOW_S, DAY_S = 5.0, 86_400.0
MAX_GUILDS_A_SHARD = 2500
"""A session that would hold more is closed with 4011."""
_RECOMMENDED_A_SHARD = 1000


class Start(enum.Enum):
    """What becomes of an IDENTIFY."""

    TAKEN = enum.auto()
    TOO_FAST = enum.auto()
    """A second one within 5 s for the same `shard_id % max_concurrency`: answered with an invalid session."""
    TOO_MANY = enum.auto()
    """One more than the day allows: Discord ends every session and resets the token."""


class HasToken(Protocol):
    token: str


class SessionStarts:
    """Counts the sessions that are started. `is_strict` turns the refusals on. `now`: seconds since the Unix epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.num_shards: int | None = None
        """What `GET /gateway/bot` recommends; None for one shard a thousand guilds."""
        self.max_concurrency = 16
        self.total = 1000
        self.is_strict = False
        self._used = 0
        self._resets_at = 0.0
        self._last: dict[int, float] = {}

    @property
    def remaining(self) -> int:
        """How many are left of this day."""
        self._begin_day()
        return max(0, self.total - self._used)

    @remaining.setter
    def remaining(self, number: int) -> None:
        self._begin_day()
        self._used = self.total - number

    def describe(self, num_guilds: int) -> Json:
        """Return what `GET /gateway/bot` says about shards and limits."""
        limit = {
            "total": self.total,
            "remaining": self.remaining,
            "reset_after": int((self._resets_at - self._now()) * 1000),
            "max_concurrency": self.max_concurrency,
        }
        return {"shards": self.num_shards or 1 + num_guilds // _RECOMMENDED_A_SHARD, "session_start_limit": limit}

    def count(self, shard_id: int) -> Start:
        """Count one IDENTIFY and return what becomes of it."""
        key, now = shard_id % self.max_concurrency, self._now()
        is_too_fast = now - self._last.get(key, -WINDOW_S) < WINDOW_S
        is_too_many = self.remaining == 0
        self._used, self._last[key] = self._used + 1, now
        if not self.is_strict:
            return Start.TAKEN
        if is_too_many:
            return Start.TOO_MANY
        return Start.TOO_FAST if is_too_fast else Start.TAKEN

    def _begin_day(self) -> None:
        if self._now() >= self._resets_at:
            self._used, self._resets_at = 0, self._now() + DAY_S


def reset_token(application: HasToken) -> None:
    """Give the application a token that its bot does not know."""
    application.token = secrets.token_urlsafe(32)
