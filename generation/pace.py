"""How fast the painter is, measured as it paints, and so how long a person will wait."""

from __future__ import annotations

from collections import deque

_WINDOW = 64


class Pace:
    """Cost units per second over the recent past, counting only time in which something was being painted."""

    def __init__(self, initial_units_per_s: float | None = None) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._initial = initial_units_per_s
        self._busy_since: float | None = None
        self._unspanned = 0.0

    def progressed(self, units: float, *, now_s: float) -> None:
        """`units` more were done by `now_s` (a monotonic clock). Reports of one forward come together: they add up."""
        self._unspanned += units
        if self._busy_since is not None and now_s > self._busy_since:
            self._spans.append((self._unspanned, now_s - self._busy_since))
            self._unspanned = 0.0
        self._busy_since = now_s

    def resumed(self, *, now_s: float) -> None:
        """Work begins after idling; the idle time does not count."""
        if self._busy_since is None:
            self._busy_since = now_s

    def paused(self) -> None:
        self._busy_since = None

    def seconds_for(self, units: float) -> float | None:
        """How long that much work takes, or None before anything was measured."""
        seconds = sum(span for _, span in self._spans)
        done = sum(units for units, _ in self._spans)
        if done > 0 and seconds > 0:
            return units * seconds / done
        return units / self._initial if self._initial else None
