"""Numbers as people write them: `0.5`, `.5`, `0,5`, `+0.5`, `5e-1`, `½`, full-width digits."""

from __future__ import annotations

import math
import re
import unicodedata

PLACES = 6
"""Digits kept after the point: what lies beyond is noise of floating point."""
_DECIMAL = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
_SIGNS = str.maketrans({"\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u066b": "."})
_NO_NUMBERS = frozenset(("nan", "inf", "infinity"))


def read_decimal(text: str) -> float | None:
    """Return the finite number that `text` is, to six places; None if it is none."""
    text = text.strip().translate(_SIGNS)
    if text and unicodedata.name(text[-1], "").startswith("VULGAR FRACTION"):
        return _parse_mixed(text[:-1], unicodedata.numeric(text[-1]))
    plain = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    if not _DECIMAL.fullmatch(plain):
        return None
    number = float(plain.replace(",", "."))
    return round(number, PLACES) if math.isfinite(number) else None


def is_meant_as_number(text: str) -> bool:
    """Return whether a person who wrote this in the place of a number meant one: `80%`, `1/2`, `1.2.3`, `nan`."""
    word = text.strip()
    digits = [char for char in word if unicodedata.category(char).startswith("N")]
    if word.lstrip("+-").casefold() in _NO_NUMBERS:
        return True
    if not any(char.isalpha() for char in word):
        return bool(digits) or (word != "" and not word.strip("+-.,"))
    return bool(digits) and " " not in word and (word[0] in "+-.," or word[0] == digits[0])


def _parse_mixed(whole: str, fraction: float) -> float | None:
    """Read `1½`, with a sign or without."""
    match = re.fullmatch(r"([+-]?)(\d*) ?", whole)
    if match is None:
        return None
    number = round(int(match[2] or 0) + fraction, PLACES) if len(match[2]) < 10 else None
    return -number if number is not None and match[1] == "-" else number
