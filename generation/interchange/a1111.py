"""AUTOMATIC1111's web UI, and Forge, SD.Next and Atelier itself: the `parameters` text.

Prompt lines, a line that begins `Negative prompt:`, and a last line of `Key: value` pairs that begins `Steps:`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from generation.interchange import foreign
from generation.interchange.foreign import MAX_TEXT_CHARS, Foreign
from generation.interchange.samplers import our_sampler

_PAIR = re.compile(r'(?:^|,)\s*([\w][\w \-/]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?=,|$)')
"""Begins where a pair may begin and nowhere else: tried at every letter, a long word takes the square of its length."""
_NEGATIVE = "Negative prompt:"


def read_a1111(text: Mapping[str, str]) -> Foreign | None:
    """None if there is no such text, or it is not of this form."""
    written = text.get("parameters")
    if written is None or len(written) > MAX_TEXT_CHARS:
        return None
    *lines, last = written.strip().split("\n")
    if not last.startswith("Steps:"):
        return None
    prompt, _, negative = ("\n" + "\n".join(lines)).partition("\n" + _NEGATIVE)
    settings = {key.strip(): _unquoted(value) for key, value in _PAIR.findall(last)}
    width, _, height = settings.get("Size", "").partition("x")
    sampler = settings.get("Sampler")
    return Foreign(
        tool="Atelier" if settings.get("Version") == "Atelier" else "A1111",
        prompt=foreign.words(prompt),
        negative=foreign.words(negative),
        steps=foreign.steps(settings.get("Steps")),
        guidance=foreign.guidance(settings.get("CFG scale")),
        seed=foreign.seed(settings.get("Seed")),
        size_px=foreign.size(width, height),
        sampler=our_sampler(sampler, schedule=settings.get("Schedule type")),
        sampler_there=foreign.name(sampler),
        model_there=foreign.name(settings.get("Model")),
    )


def _unquoted(value: str) -> str:
    """Values that hold commas are written as JSON strings."""
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            pass
    return value.strip()
