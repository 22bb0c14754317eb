"""The settings another tool wrote, as far as they can be understood, and the checks of their untrusted values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from generation.requests.prompt import clean_prompt
from generation.requests.ranges import MAX_CLIP_SKIP, MAX_GUIDANCE, MAX_STEPS

MAX_TEXT_CHARS = 1_000_000
"""A larger chunk is not read: workflows of a megabyte exist, settings of a megabyte do not."""
MAX_WORDS_CHARS = 10_000
"""More than a prompt of ours may have, so that a prompt that is too long is refused and not cut silently."""
MAX_NAME_CHARS = 80
MAX_UNREAD = 8
MAX_LORAS = 16
_MAX_SEED = 2**64 - 1
_SIDES = re.compile(r"\(?\s*(\d{1,5})\s*[x×,]\s*(\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSettings:
    """None where the tool said nothing usable. `sampler` is one of ours, `sampler_there` the tool's own word."""

    tool: str
    prompt: str
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    """As it stands there, up to 64 bits."""
    size_px: tuple[int, int] | None = None
    sampler: str | None = None
    sampler_there: str | None = None
    model_there: str | None = None
    clip_skip: int | None = None
    loras: tuple[str, ...] = ()
    """LoRA that stand beside the prompt, as they are written in one of ours: `<lora:name:0.8>`."""
    unread: tuple[str, ...] = ()
    """What changes the picture there and is not read: settings and nodes by their own names."""


def words(value: Any) -> str:
    """Return a prompt as one clean line, as ours are."""
    return _line(value, MAX_WORDS_CHARS)


def name(value: Any) -> str | None:
    """Return another tool's name for a sampler or model, cleaned for display."""
    return _line(value, MAX_NAME_CHARS) or None


def names(values: Iterable[str]) -> tuple[str, ...]:
    """Return untrusted words for display, each once, and not too many."""
    shown: dict[str, None] = {}
    for value in values:
        if len(shown) < MAX_UNREAD:
            shown[name(value) or "?"] = None
    return tuple(shown)


def steps(value: Any) -> int | None:
    return _whole(value, 1, MAX_STEPS)


def seed(value: Any) -> int | None:
    return _whole(value, 0, _MAX_SEED)


def clip_skip(value: Any) -> int | None:
    return _whole(value, 1, MAX_CLIP_SKIP)


def guidance(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 <= found <= MAX_GUIDANCE else None


def size(width: Any, height: Any) -> tuple[int, int] | None:
    sides = _whole(width, 1, 1 << 16), _whole(height, 1, 1 << 16)
    return (sides[0], sides[1]) if sides[0] is not None and sides[1] is not None else None


def size_of(text: Any) -> tuple[int, int] | None:
    """Of `512x768`, or `(512, 768)`."""
    found = _SIDES.match(text) if isinstance(text, str) else None
    return size(found[1], found[2]) if found else None


def lora(called: Any, weight: Any) -> str | None:
    """As it is written in a prompt; None without a name and a weight. A file is called by its stem."""
    strength = number(weight)
    if not isinstance(called, str) or strength is None:
        return None
    stem = re.split(r"[/\\]", called[: 4 * MAX_NAME_CHARS])[-1].removesuffix(".safetensors")
    plain = _line(re.sub("[<>:]", " ", stem), MAX_NAME_CHARS)
    return f"<lora:{plain}:{round(strength, 4):g}>" if plain else None


def parsed(text: str | None) -> Any:
    """JSON of a text chunk; None for what is none, or too large or too deep."""
    if text is None or len(text) > MAX_TEXT_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _line(value: Any, most: int) -> str:
    """Cut after cleaning, which removes characters; and before it, because unordered accents cost their square."""
    return clean_prompt(value[: 2 * most])[:most] if isinstance(value, str) else ""


def _whole(value: Any, low: int, high: int) -> int | None:
    """Read digits as such: beyond 53 bits a float is another number."""
    if isinstance(value, str) and re.fullmatch(r"\s*\+?[0-9]{1,20}\s*", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        found = number(value)
        if found is None or found != int(found):
            return None
        value = int(found)
    return value if low <= value <= high else None
