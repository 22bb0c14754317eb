"""Discord's clock: wall time, plus the seconds that a test or a person chose to jump ahead."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Time as Discord sees it. Token expiry, signed links, message times and snowflakes all read it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the seconds since the Unix epoch."""
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Jump ahead by `seconds` (never back: Discord's ids must keep growing).

        Raise ValueError for a negative number.
        """
        if seconds < 0:
            raise ValueError("The clock only runs forward: give a number of seconds above 0.")
        self._ahead_s += seconds
        for listener in self._listeners:
            listener()

    def on_jump(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every jump."""
        self._listeners.append(listener)

    def timestamp(self) -> str:
        """Return the present time in the ISO 8601 form of Discord's payloads."""
        return timestamp(self.now())


def timestamp(unix_s: float) -> str:
    """Return `unix_s` in the ISO 8601 form of Discord's payloads: microseconds and an explicit UTC offset."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")
