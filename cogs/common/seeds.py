"""Random seeds for requests that name none."""

from __future__ import annotations

from secrets import randbelow

from generation.requests.spec import MAX_SEED


def draw_seed() -> int:
    return randbelow(MAX_SEED + 1)
