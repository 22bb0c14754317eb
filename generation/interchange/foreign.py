"""The settings another tool wrote, as far as they can be understood; and how strangers' values are taken in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from generation.prompt import MAX_PROMPT_CHARS, clean_prompt
from generation.request import MAX_GUIDANCE, MAX_SEED, MAX_STEPS

MAX_TEXT_CHARS = 1_000_000
"""A larger chunk is not read: workflows of a megabyte exist, settings of a megabyte do not."""
MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """None where the tool said nothing usable. `sampler` is one of ours, `sampler_there` the tool's own word."""

    tool: str
    prompt: str
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    size_px: tuple[int, int] | None = None
    sampler: str | None = None
    sampler_there: str | None = None
    model_there: str | None = None


def words(value: Any) -> str:
    """A prompt as ours are: one clean line, not too long."""
    return _line(value, MAX_PROMPT_CHARS)


def name(value: Any) -> str | None:
    """A stranger's word for a sampler or model, to be shown."""
    return _line(value, MAX_NAME_CHARS) or None


def steps(value: Any) -> int | None:
    return _whole(value, 1, MAX_STEPS)


def seed(value: Any) -> int | None:
    """Larger seeds than ours exist elsewhere: they mean another noise there, and nothing here."""
    return _whole(value, 0, MAX_SEED)


def guidance(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= MAX_GUIDANCE else None


def size(width: Any, height: Any) -> tuple[int, int] | None:
    sides = _whole(width, 1, 1 << 16), _whole(height, 1, 1 << 16)
    return (sides[0], sides[1]) if sides[0] is not None and sides[1] is not None else None


def parsed(text: str | None) -> Any:
    """JSON of a text chunk; None for what is none, or too large or too deep."""
    if text is None or len(text) > MAX_TEXT_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _line(value: Any, most: int) -> str:
    """Cut after cleaning, which takes characters away; and before, for accents out of order cost it their square."""
    return clean_prompt(value[: 2 * most])[:most] if isinstance(value, str) else ""


def _whole(value: Any, low: int, high: int) -> int | None:
    number = _number(value)
    if number is None or number != int(number) or not low <= number <= high:
        return None
    return int(number)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
