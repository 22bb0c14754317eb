"""Prompts as people type them: what is cleaned, what is refused.

Cleaning happens once, where text enters; a spec then refuses text that still holds what cleaning removes, so
nothing uncleaned can reach a log, a PNG or a model.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import filterfalse

from generation.characters import category
from generation.requests.errors import ControlCharactersError, EmptyPromptError, PromptTooLongError
from generation.translatable import Phrase

PROMPT_NAME, NEGATIVE_NAME = Phrase("The prompt"), Phrase("The negative prompt")
MAX_PROMPT_CHARS, MAX_ALT_CHARS = 1500, 1000
NO_NEGATIVE = "-"
"""What a person writes for no negative prompt at all, where the model or a style brings one."""
MAX_COMBINING_RUN = 3
_SORTED_AT_ONCE = 30
"""Marks in a row that normalising is given: it sorts them in a time that grows with their square."""
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE_CATEGORIES = frozenset(("Cc", "Cs", "Cn", "Co"))


def clean_prompt(text: str) -> str:
    """Return the text as one line: composed (NFC), without control, surrogate or direction characters.

    Runs of white space become one space, and more than three combining marks in a row are cut.
    """
    spaced = "".join(" " if char.isspace() else char for char in text)
    visible = "".join(filterfalse(_is_removed, spaced))
    if visible.isascii():
        return " ".join(visible.split())
    composed = unicodedata.normalize("NFC", _limit_combining(visible, _SORTED_AT_ONCE))
    return " ".join(_limit_combining(composed, MAX_COMBINING_RUN).split())


def check_prompt(text: str, *, name: str, may_be_empty: bool = False) -> None:
    """Raise `InvalidRequestError` unless `text` is clean, not too long, and (unless allowed) shows something."""
    if len(text) > MAX_PROMPT_CHARS:
        raise PromptTooLongError(name=name, most=MAX_PROMPT_CHARS, number=len(text))
    if any(map(_is_removed, text)):
        raise ControlCharactersError(name=name)
    if not may_be_empty and not any(kind[0] in "LNPS" for kind in map(category, text)):
        raise EmptyPromptError(name=name)


def read_negative(text: str) -> str:
    """Return a negative prompt as it is meant: a minus sign alone is none."""
    return "" if text == NO_NEGATIVE else text


def check_alt(text: str) -> None:
    """Raise `InvalidRequestError` unless `text` is a clean alt text that says something."""
    name = Phrase("The alt text")
    if len(text) > MAX_ALT_CHARS:
        raise PromptTooLongError(name=name, most=MAX_ALT_CHARS, number=len(text))
    if any(map(_is_removed, text)):
        raise ControlCharactersError(name=name)


def join_words(*parts: str) -> str:
    """Return prompts as one, with commas between them; empty ones are left out."""
    return ", ".join(part for part in parts if part)


@lru_cache(maxsize=2**15)
def _is_removed(char: str) -> bool:
    return char in _BIDI_CONTROLS or category(char) in _INVISIBLE_CATEGORIES


def _limit_combining(text: str, most: int) -> str:
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= most:
            kept.append(char)
    return "".join(kept)
