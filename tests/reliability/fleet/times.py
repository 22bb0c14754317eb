"""How long it took until work that was struck went on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

LIMITS_S = {"engine": 1.0, "actor": 5.0, "freeze": 12.0, "partition": 12.0, "node": 15.0}
"""What 95 of 100 times have to be below, on a machine that has nothing else to do."""


@dataclass
class Times:
    """Seconds by kind of strike. `slack` is what a busy machine is allowed: so many times the limit."""

    slack: float
    _seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, kind: str, seconds: float) -> None:
        self._seconds[kind].append(seconds)

    def list_slow(self) -> list[str]:
        """Return the kinds that took longer than they may."""
        return [kind for kind, limit_s in LIMITS_S.items() if self._p95(kind) > limit_s * self.slack]

    def figures(self) -> dict[str, dict[str, float]]:
        return {
            kind: {
                "timed": len(seconds),
                "p50_s": round(percentile(seconds, 50), 2),
                "p95_s": round(percentile(seconds, 95), 2),
            }
            for kind, seconds in sorted(self._seconds.items())
        }

    def _p95(self, kind: str) -> float:
        return percentile(self._seconds[kind], 95) if kind in self._seconds else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many of a hundred do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
