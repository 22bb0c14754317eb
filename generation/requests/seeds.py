"""Random seeds."""

from __future__ import annotations

import random

from generation.requests.ranges import MAX_SEED


def draw_seed() -> int:
    """Return a random seed, 0 to `MAX_SEED`."""
    return random.randint(0, MAX_SEED)
