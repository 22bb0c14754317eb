"""Rate limits: the headers on every answer and, when made strict, the refusals.

Discord does not publish its numbers, so the relaxed table never gets in a bot's way; the strict one follows
what is commonly seen, to try a bot's patience.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from discord_sandbox.clock import Clock


@dataclass
class _Window:
    ends_s: float
    num_left: int


@dataclass(frozen=True)
class RateLimitResult:
    """The headers of a route's bucket; `retry_after_s` is above 0 when the request is one too many."""

    headers: dict[str, str]
    retry_after_s: float


_STRICT = {
    "POST /channels/{channel_id}/messages": (5, 5.0),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 5.0),
    "DELETE /channels/{channel_id}/messages/{message_id}": (5, 1.0),
    "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original": (5, 5.0),
    "POST /webhooks/{webhook_id}/{webhook_token}": (5, 5.0),
}
_STRICT_DEFAULT = (50, 1.0)
_RELAXED = (10_000, 1.0)


class RateLimits:
    """Fixed windows by route and major parameter. `is_strict` turns the refusals on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self.is_strict = False

    def count(self, where: str, major: str) -> RateLimitResult:
        """Count one request to a route (`"POST /channels/{channel_id}/messages"`) and its major parameter."""
        limit, period_s = _STRICT.get(where, _STRICT_DEFAULT) if self.is_strict else _RELAXED
        now = self._clock.now()
        window = self._windows.get((where, major))
        if window is None or window.ends_s <= now:
            window = self._windows[where, major] = _Window(now + period_s, limit)
            self._forget_old(now)
        refused = window.num_left == 0
        window.num_left = max(0, window.num_left - 1)
        left_s = window.ends_s - now
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(window.num_left),
            "X-RateLimit-Reset": f"{window.ends_s:.3f}",
            "X-RateLimit-Reset-After": f"{left_s:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(where.encode(), usedforsecurity=False).hexdigest(),
        }
        return RateLimitResult(headers, left_s if refused else 0.0)

    def _forget_old(self, now: float) -> None:
        if len(self._windows) > 10_000:
            self._windows = {key: window for key, window in self._windows.items() if window.ends_s > now}
