"""The ranges of a request's numbers, and the checks that name the value at fault."""

from __future__ import annotations

from typing import Any, NamedTuple

from generation.requests.errors import (
    NumberNotAboveError,
    NumberOutOfRangeError,
    OutOfRangeError,
    SizeOutOfRangeError,
    UnknownSamplerError,
)
from generation.requests.samplers import SAMPLERS
from generation.translatable import Phrase

MAX_SEED = 2**32 - 1
MIN_SIDE_PX, MAX_SIDE_PX, SIDE_MULTIPLE_PX = 64, 2048, 8
MIN_INSIDE_PX = 32
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
MAX_COUNT = 10
"""As many files as Discord takes in one message."""
MAX_CLIP_SKIP = 12
MAX_SHOWN_CHARS = 20


class Range(NamedTuple):
    """Whole numbers that a value may be, and the name that users read of it."""

    name: Phrase
    low: int
    high: int


SEED = Range(Phrase("Seed"), 0, MAX_SEED)
STEPS = Range(Phrase("Steps"), 1, MAX_STEPS)
CACHE = Range(Phrase("The step cache"), 1, 10)
CLIP_SKIP = Range(Phrase("Clip skip"), 1, MAX_CLIP_SKIP)


def check_ranges(*values: tuple[Range, Any]) -> None:
    """Raise `OutOfRangeError` for the first value that is not in its range."""
    for (name, low, high), value in values:
        if type(value) is not int or not low <= value <= high:
            check_range(name, value, low=low, high=high)


def check_range(name: str, value: Any, *, low: int, high: int) -> None:
    """Raise `OutOfRangeError` unless the value is a whole number from `low` to `high`."""
    if not is_number(value, int) or not low <= value <= high:
        raise OutOfRangeError(name=name, low=low, high=high, value=shorten(value))


def check_seed(seed: Any) -> None:
    """Raise `OutOfRangeError` unless the value is a seed."""
    check_ranges((SEED, seed))


def check_number(name: str, value: Any, *, low: float, high: float) -> None:
    """Raise `NumberOutOfRangeError` unless the value is a number from `low` to `high`."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise NumberOutOfRangeError(name=name, low=low, high=high, value=shorten(value))


def check_above(name: str, value: Any, *, low: float, high: float) -> None:
    """Raise `NumberNotAboveError` unless the value is a number above `low` and at most `high`."""
    if not is_number(value, int | float) or not low < value <= high:
        raise NumberNotAboveError(name=name, low=low, high=high, value=shorten(value))


def check_strength(name: str, value: Any) -> None:
    """Raise `NumberNotAboveError` unless the value is above 0 and at most 1."""
    check_above(name, value, low=0, high=1)


def check_size(width_px: Any, height_px: Any) -> None:
    """Raise `SizeOutOfRangeError` unless both are sides that can be painted."""
    for side_px in (width_px, height_px):
        if type(side_px) is not int or not MIN_SIDE_PX <= side_px <= MAX_SIDE_PX or side_px % SIDE_MULTIPLE_PX:
            raise SizeOutOfRangeError(
                least=MIN_SIDE_PX,
                most=MAX_SIDE_PX,
                step=SIDE_MULTIPLE_PX,
                width=shorten(width_px),
                height=shorten(height_px),
            )


def check_sampler(name: str, steps: int) -> None:
    """Raise `UnknownSamplerError` for a name that is none, or `OutOfRangeError` for more steps than it can do."""
    if name not in SAMPLERS:
        raise UnknownSamplerError(name=name, samplers=", ".join(SAMPLERS))
    most = SAMPLERS[name].max_steps
    if most is not None:
        check_range(Phrase("Steps with {sampler}", sampler=name), steps, low=1, high=most)


def is_number(value: Any, kinds: Any) -> bool:
    """Return whether the value is of these kinds of numbers; to Python, True and False are whole numbers too."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def shorten(value: Any) -> Any:
    """Return a number as it is, and the beginning of anything else."""
    return value if is_number(value, int | float) else str(value)[:MAX_SHOWN_CHARS]
