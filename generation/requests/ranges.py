"""The ranges of a request's numbers, and the checks that name the value at fault."""

from __future__ import annotations

import math
from typing import Any

from generation.errors import InvalidRequestError
from generation.translatable import Phrase

MAX_SEED = 2**32 - 1
MIN_SIDE_PX, MAX_SIDE_PX, SIDE_MULTIPLE_PX = 64, 2048, 8
MIN_INSIDE_PX = 32
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
MAX_COUNT = 4
MAX_CLIP_SKIP = 12


def check_range(what: str, value: Any, *, low: int, high: int) -> None:
    """Raise `InvalidRequestError` unless the value is a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        problem = Phrase("must be a whole number from {low} to {high}.", low=low, high=high)
        raise InvalidRequestError(what=what, problem=problem)
    if not low <= value <= high:
        problem = Phrase("must be from {low} to {high}, not {value}.", low=low, high=high, value=value)
        raise InvalidRequestError(what=what, problem=problem)


def check_seed(seed: Any) -> None:
    """Raise `InvalidRequestError` unless the value is a seed."""
    check_range(Phrase("Seed"), seed, low=0, high=MAX_SEED)


def check_finite(what: str, value: Any) -> None:
    """Raise `InvalidRequestError` unless the value is a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidRequestError(what=what, problem=Phrase("must be a finite number."))


def check_strength(what: str, value: Any) -> None:
    """Raise `InvalidRequestError` unless the value is above 0 and at most 1."""
    check_finite(what, value)
    if not 0 < value <= 1:
        raise InvalidRequestError(what=what, problem=Phrase("must be above 0 and at most 1, not {value}.", value=value))


def check_side(what: str, side_px: Any) -> None:
    """Raise `InvalidRequestError` unless the value is a side that can be painted."""
    check_range(what, side_px, low=MIN_SIDE_PX, high=MAX_SIDE_PX)
    if side_px % SIDE_MULTIPLE_PX:
        problem = Phrase("must be a multiple of {multiple}, not {value}.", multiple=SIDE_MULTIPLE_PX, value=side_px)
        raise InvalidRequestError(what=what, problem=problem)
