"""Classes of characters, also of those newer than this Python's copy of Unicode.

Unicode adds characters every year. To a Python that is older they are unassigned (`Cn`), as are code points that
never are characters; only of the latter is it known that they show nothing.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

UNASSIGNED, SYMBOL = "Cn", "So"
_RESERVED_IGNORABLE = (
    range(0x2065, 0x2066),
    range(0xFFF0, 0xFFF9),
    range(0xE0000, 0xE0001),
    range(0xE0002, 0xE0020),
    range(0xE0080, 0xE0100),
    range(0xE01F0, 0xE1000),
)
"""Unassigned, and invisible whatever they become (Default_Ignorable_Code_Point in DerivedCoreProperties.txt)."""


@lru_cache(maxsize=2**15)  # asked of every character that is typed
def category(char: str) -> str:
    """Return the general category; `So` for what may be a newer character, since it may show anything."""
    return SYMBOL if is_newer(char) else unicodedata.category(char)


def is_newer(char: str) -> bool:
    """Return whether a later Unicode may make a visible character of this code point."""
    return unicodedata.category(char) == UNASSIGNED and not (is_noncharacter(char) or _is_ignorable(char))


def is_noncharacter(char: str) -> bool:
    """Return whether Unicode promises that this code point never is a character."""
    return ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF


def is_printable(text: str) -> bool:
    """Return what `str.isprintable` would under every later Unicode."""
    return text.isprintable() or all(char.isprintable() or is_newer(char) for char in text)


def make_line(text: str, *, most: int) -> str:
    """Return a text of others as one printable line of at most `most` characters, for terminals and Discord."""
    return "".join(char for char in " ".join(text.split()) if is_printable(char))[:most].strip()


def _is_ignorable(char: str) -> bool:
    return any(ord(char) in reserved for reserved in _RESERVED_IGNORABLE)
