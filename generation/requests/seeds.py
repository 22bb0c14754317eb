"""Random seeds."""

from __future__ import annotations

from secrets import randbelow

from generation.requests.ranges import MAX_SEED


def draw_seed() -> int:
    """Return a random seed, 0 to `MAX_SEED`."""
    return randbelow(MAX_SEED + 1)
