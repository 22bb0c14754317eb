"""Measures the worker's throughput as it paints: the time of a forward by its cost units."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

_WINDOW = 96
_TOGETHER = 0.25
"""Reports that come within this part of a usual forward after the last one belong to the same forward."""
_FIXED_PART = 0.2
"""Where forwards of one size only were seen: the part of their time that a smaller one is taken to need as well."""
_ODD = 3.0
"""A forward that took so many times what is usual was held up: a model was loaded, or the machine was suspended."""
_INTERRUPTION_S = 60.0
"""A hold-up this long says nothing about how long people usually wait. A shorter one may come again and again."""


class _Forward(NamedTuple):
    units: float
    seconds: float
    images: int


class Throughput:
    """Seconds of a forward as a straight line over its cost units, fitted to the recent past.

    Only time in which something was being painted counts. Forwards are recognised by their reports, which come
    together, one of each image: the ends of images (decoding, checking) fall between two of them and so are in the
    price. What else falls between two of them (a model being loaded, a suspended machine) makes a forward many times
    longer than usual; such forwards are left out.
    """

    def __init__(self) -> None:
        self.num_interruptions = 0
        """How often painting stopped for a reason that has nothing to do with how fast it is."""
        self._forwards: deque[_Forward] = deque(maxlen=_WINDOW)
        self._painted: list[_Forward] | None = None
        self._since: float | None = None
        self._last = 0.0
        self._units = 0.0
        self._images: set[str] = set()
        """That reported of the forward under way."""
        self._fit: tuple[float, float] | None = None
        self.seats = 1
        """Images one forward can hold, as far as was seen."""
        self.mean_units = 1.0
        """Cost units of an image's part in a forward, on average; 1 before anything was measured."""

    def progressed(self, image_id: str, units: float, *, now_s: float) -> None:
        """Record that an image did `units` more by `now_s` (a monotonic clock)."""
        if self._since is None:
            self._since = self._last = now_s
            return
        is_apart = bool(self._images) and now_s - self._last > _TOGETHER * self._compute_usual_s(now_s)
        if is_apart or image_id in self._images:
            self._close(self._last)
        self._units += units
        self._images.add(image_id)
        self._last = now_s

    def resumed(self, *, now_s: float) -> None:
        """Record that work begins after idling; the idle time does not count."""
        if self._since is None:
            self._since = self._last = now_s

    def interrupted(self) -> None:
        """Record that the operator paused or resumed the worker, or that a worker was lost or is back.

        What was being painted may go on; call `paused` if it does not.
        """
        self.num_interruptions += 1

    def paused(self) -> None:
        """Record that nothing is being painted. The time until `resumed` does not count."""
        if self._images:
            self._close(self._last)
        self._since = None
        self._units, self._images = 0.0, set()

    @property
    def units_per_s(self) -> float | None:
        """Cost units painted a second recently; None before anything was measured."""
        seconds = sum(each.seconds for each in self._select_usual())
        return sum(each.units for each in self._select_usual()) / seconds if seconds > 0 else None

    def estimate_forward_s(self, units: Sequence[float]) -> float | None:
        """Return the seconds of a forward of images with that many units each; None before anything was measured."""
        if not self._forwards:
            return None
        if self._fit is None:
            self._fit = self._line()
        fixed, per_unit = self._fit
        return fixed + per_unit * sum(units)

    def _close(self, end_s: float) -> None:
        assert self._since is not None
        if end_s > self._since and self._units > 0:  # a report without progress is no forward
            forward = _Forward(self._units, end_s - self._since, len(self._images))
            self._forwards.append(forward)
            self._fit = self._painted = None
            self.seats = max(each.images for each in self._forwards)
            self.mean_units = sum(each.units for each in self._forwards) / sum(each.images for each in self._forwards)
            if forward.seconds > _INTERRUPTION_S and forward not in self._select_usual():
                self.num_interruptions += 1
        self._since, self._units, self._images = end_s, 0.0, set()

    def _compute_usual_s(self, now_s: float) -> float:
        if self._forwards:
            return sum(each.seconds for each in self._select_usual()) / len(self._select_usual())
        assert self._since is not None
        return now_s - self._since

    def _select_usual(self) -> list[_Forward]:
        """Return the forwards that were not held up. There is at least one if there are any.

        A larger forward may take more seconds, and a smaller one more seconds a unit, but none takes more of both.
        """
        if self._painted is None:
            usual_s = median(each.seconds for each in self._forwards) if self._forwards else 0.0
            a_unit_s = median(_fit_seconds_a_unit(each) for each in self._forwards) if self._forwards else 0.0
            self._painted = [
                each
                for each in self._forwards
                if each.seconds <= _ODD * usual_s or _fit_seconds_a_unit(each) <= _ODD * a_unit_s
            ]
        return self._painted

    def _line(self) -> tuple[float, float]:
        """Return (seconds of any forward, seconds a unit): least squares, neither below zero."""
        usual = self._select_usual()
        number = len(usual)
        mean_units = sum(each.units for each in usual) / number
        mean_s = sum(each.seconds for each in usual) / number
        spread = sum((each.units - mean_units) ** 2 for each in usual)
        if spread < number * (0.1 * mean_units) ** 2:
            return _FIXED_PART * mean_s, (1 - _FIXED_PART) * mean_s / max(mean_units, 1e-9)
        slope = sum((each.units - mean_units) * (each.seconds - mean_s) for each in usual) / spread
        slope = min(max(slope, 0.0), mean_s / mean_units)
        return mean_s - slope * mean_units, slope


def _fit_seconds_a_unit(forward: _Forward) -> float:
    return forward.seconds / max(forward.units, 1e-9)
