"""`(word:1.2)`: how strongly each part of a prompt is meant, in the syntax of AUTOMATIC1111's web UI.

`(x)` is x times 1.1, `[x]` divided by 1.1, `(x:1.3)` times 1.3; they nest and multiply; a back-slash makes a bracket
plain. Anything else is text, a bracket without its partner included. One pass, no recursion, and a weight ends
between 0 and 2 whatever was asked: a thousand brackets are slow for nobody and loud for nobody.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

STEP = 1.1
MIN_WEIGHT, MAX_WEIGHT = 0.0, 2.0
_PARTS = re.compile(r"\\[()\[\]\\]|[(\[\])]|:\s*\d{1,3}(?:\.\d{0,6})?\s*\)|[^\\()\[\]:]+|[\\:]")
_PARTNERS = {")": "(", "]": "["}


class Weighted(NamedTuple):
    """A stretch of prompt and its weight."""

    text: str
    weight: float


class _Open(NamedTuple):
    bracket: str
    place: int


def parse_weights(prompt: str) -> list[Weighted]:
    """The prompt in stretches of one weight each; their texts in order are the prompt without its brackets."""
    texts: list[str] = []
    weights: list[float] = []
    opened: list[_Open] = []
    for part in _PARTS.findall(prompt):
        if part in "([":
            opened.append(_Open(part, len(texts)))
            texts.append(part)
            weights.append(1.0)
        elif part[-1] in ")]" and not part.startswith("\\"):
            _close(part, texts, weights, opened)
        else:
            texts.append(part[1:] if len(part) == 2 and part[0] == "\\" else part)
            weights.append(1.0)
    return _join(texts, weights)


def _close(part: str, texts: list[str], weights: list[float], opened: list[_Open]) -> None:
    """A closing bracket, perhaps with a number: weigh everything since its partner, which then is text no more."""
    if not opened or opened[-1].bracket != _PARTNERS[part[-1]]:
        texts.append(part)
        weights.append(1.0)
        return
    place = opened.pop().place
    texts[place] = ""
    number = part[1:-1].strip()
    factor = float(number) if number else STEP if part == ")" else 1 / STEP
    for index in range(place, len(texts)):
        # Finite: infinity times a later 0 would be no number at all, and no bound holds that back.
        weights[index] = min(weights[index] * factor, sys.float_info.max)


def _join(texts: list[str], weights: list[float]) -> list[Weighted]:
    joined: list[Weighted] = []
    for text, weight in zip(texts, weights, strict=True):
        clamped = min(max(weight, MIN_WEIGHT), MAX_WEIGHT)
        if text and joined and joined[-1].weight == clamped:
            joined[-1] = Weighted(joined[-1].text + text, clamped)
        elif text:
            joined.append(Weighted(text, clamped))
    return joined
