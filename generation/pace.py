"""How fast the painter is, measured as it paints: what a forward takes, by how much is in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

_WINDOW = 96
_TOGETHER = 0.25
"""Reports that come within this part of a usual forward after the last one belong to the same forward."""
_FIXED_PART = 0.2
"""Where forwards of one size only were seen: the part of their time that a smaller one is taken to need as well."""


class Pace:
    """Seconds of a forward as a straight line over its cost units, fitted to the recent past.

    Only time in which something was being painted counts. Forwards are recognised by their reports, which come
    together: the ends of images (decoding, checking) fall between two of them and so are in the price.
    """

    def __init__(self) -> None:
        self._forwards: deque[tuple[float, float, int]] = deque(maxlen=_WINDOW)
        """(units, seconds, images) of each."""
        self._since: float | None = None
        self._last = 0.0
        self._units = 0.0
        self._images = 0
        self._fit: tuple[float, float] | None = None

    def progressed(self, units: float, *, now_s: float) -> None:
        """An image did `units` more by `now_s` (a monotonic clock)."""
        if self._since is None:
            self._since = self._last = now_s
            return
        if self._images and now_s - self._last > _TOGETHER * self._usual_s(now_s):
            self._close(self._last)
        self._units += units
        self._images += 1
        self._last = now_s

    def resumed(self, *, now_s: float) -> None:
        """Work begins after idling; the idle time does not count."""
        if self._since is None:
            self._since = self._last = now_s

    def paused(self) -> None:
        if self._images:
            self._close(self._last)
        self._since = None
        self._units, self._images = 0.0, 0

    @property
    def seats(self) -> int:
        """Images one forward can hold, as far as was seen."""
        return max((images for _, _, images in self._forwards), default=1)

    @property
    def units_per_s(self) -> float | None:
        """What was painted a second of late; None before anything was measured."""
        seconds = sum(seconds for _, seconds, _ in self._forwards)
        return sum(units for units, _, _ in self._forwards) / seconds if seconds > 0 else None

    def seconds_of_forward(self, units: Sequence[float]) -> float | None:
        """What a forward of images with that many units each takes; None before anything was measured."""
        if not self._forwards:
            return None
        if self._fit is None:
            self._fit = self._line()
        fixed, per_unit = self._fit
        return fixed + per_unit * sum(units)

    def _close(self, end_s: float) -> None:
        assert self._since is not None
        if end_s > self._since:
            self._forwards.append((self._units, end_s - self._since, self._images))
            self._fit = None
        self._since, self._units, self._images = end_s, 0.0, 0

    def _usual_s(self, now_s: float) -> float:
        if self._forwards:
            return sum(seconds for _, seconds, _ in self._forwards) / len(self._forwards)
        assert self._since is not None
        return now_s - self._since

    def _line(self) -> tuple[float, float]:
        """(seconds of any forward, seconds a unit): least squares, neither below zero."""
        number = len(self._forwards)
        mean_units = sum(units for units, _, _ in self._forwards) / number
        mean_s = sum(seconds for _, seconds, _ in self._forwards) / number
        spread = sum((units - mean_units) ** 2 for units, _, _ in self._forwards)
        if spread < number * (0.1 * mean_units) ** 2:
            return _FIXED_PART * mean_s, (1 - _FIXED_PART) * mean_s / max(mean_units, 1e-9)
        slope = sum((units - mean_units) * (seconds - mean_s) for units, seconds, _ in self._forwards) / spread
        slope = min(max(slope, 0.0), mean_s / mean_units)
        return mean_s - slope * mean_units, slope
