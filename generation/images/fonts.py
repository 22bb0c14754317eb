"""The font of pictures that hold words: DejaVu Sans, bundled, so that every machine draws the same letters.

It has Latin, Greek, Cyrillic, Armenian, Georgian, Arabic and Hebrew letters and many signs. It has no Chinese,
Japanese, Korean or Indian letters and few emoji; `make_drawable` puts a box for each.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

FILE = Path(__file__).with_name("DejaVuSans.ttf")
MISSING = "□"
_NO_CHARACTER = "\U0010ffff"
_JOINER = "\u200d"
_STEERS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\U0001f3fb-\U0001f3ff]")
"""Choose a variant of the sign before them, or the colour of its skin."""


@cache
def load_font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FILE, size_px)


def make_drawable(text: str) -> str:
    """Return a text on one line that the font can draw.

    Signs that only steer how others are shown are left out. A letter of another style (𝓐, Ａ) that the font lacks
    becomes the plain one, and all else it lacks one □; an emoji joined of several is one of them.
    """
    drawn, before = "", ""
    for char in unicodedata.normalize("NFC", text):
        shown = _find_drawable(char)
        is_part = shown == MISSING and before == _JOINER and drawn.endswith(MISSING)
        drawn += "" if is_part else shown
        before = char
    return drawn


def can_draw(text: str) -> bool:
    """Return whether the font has all of a text."""
    return MISSING not in make_drawable(text.replace(MISSING, ""))


@lru_cache(maxsize=4096)
def _find_drawable(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return MISSING
    if category in ("Cc", "Cf", "Zl", "Zp") or _STEERS.fullmatch(char):
        return " " if char.isspace() else ""
    if has_glyph(char):
        return char
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and all(map(has_glyph, plain)):
        return plain
    return "" if category.startswith("M") else MISSING


@lru_cache(maxsize=4096)
def has_glyph(char: str) -> bool:
    """Return whether the font has a sign for a character: one it lacks looks as its box for no character."""
    return _draw(char) != _draw(_NO_CHARACTER)


def _draw(char: str) -> tuple[tuple[int, int], bytes]:
    mask = load_font(20).getmask(char)
    return mask.size, bytes(mask)
