"""The values of an option of /compare: `Euler, Heun`, `7-9`, `a fox | a cat`. Pure, and bounded by what is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from cogs.common.errors import (
    NotANumberError,
    NotAWholeNumberError,
    RangeBackwardsError,
    TooManyCellsError,
    ValueTwiceError,
)
from generation.requests.comparison import MAX_CELLS
from generation.requests.ranges import MAX_SHOWN_CHARS
from generation.requests.sampler_names import read_sampler

T = TypeVar("T")
MAX_TYPED = 500
_COMMAS = re.compile(r"[,;\n\uff0c\u3001]")
_RANGE = re.compile(r"(\d{1,12})\s*[-–]\s*(\d{1,12})")
_OPENS, _CLOSES = "([{<", ")]}>"


def split_list(text: str) -> list[str]:
    """Return what stands between commas, semicolons or line breaks."""
    return [part for each in _COMMAS.split(text) if (part := each.strip())]


def split_bars(text: str) -> list[str]:
    """Return what stands between “ | ” or line breaks. In brackets, or without blanks around it, a bar is a letter."""
    parts, start, depth = list[str](), 0, 0
    for at, letter in enumerate(text):
        depth = max(0, depth + (letter in _OPENS) - (letter in _CLOSES))
        is_bar = letter == "|" and depth == 0 and text[at - 1 : at].isspace() and text[at + 1 : at + 2].isspace()
        if is_bar or letter == "\n":
            parts.append(text[start:at])
            start = at + 1
    return [part for each in (*parts, text[start:]) if (part := each.strip())]


def parse_wholes(text: str, *, name: str) -> list[int]:
    """Return whole numbers; `7-9` is 7, 8, 9. Raise `InvalidRequestError` for anything else."""
    return require_different([number for part in split_list(text) for number in _parse_wholes(part, name)], name=name)


def parse_numbers(text: str, *, name: str) -> list[float]:
    """Return numbers, whose decimal sign is the point. Raise `InvalidRequestError` for anything else."""
    return require_different([_parse_number(part, name) for part in split_list(text)], name=name)


def parse_samplers(text: str, *, name: str) -> list[str]:
    """Return the names of samplers as they are written here; unknown ones as they are."""
    return require_different([read_sampler(part) or part for part in split_list(text)], name=name)


def require_different(values: list[T], *, name: str) -> list[T]:
    """Return the values. Raise `ValueTwiceError` if one is there twice."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueTwiceError(name=name, value=str(value)[:MAX_SHOWN_CHARS])
    return values


def complete_list(typed: str, known: Iterable[str]) -> Iterator[str]:
    """Yield the typed text with its last part completed by names that hold it and are not there yet."""
    parts = split_list(typed)
    *earlier, last = parts if parts and not _COMMAS.search(typed.rstrip()[-1:]) else (*parts, "")
    there = {each.casefold() for each in earlier}
    for name in sorted(known, key=lambda each: not each.casefold().startswith(last.casefold())):
        if last.casefold() in name.casefold() and name.casefold() not in there:
            yield ", ".join((*earlier, name))


def _parse_wholes(part: str, name: str) -> Iterable[int]:
    span = _RANGE.fullmatch(part)
    if span is None:
        return (_parse(int, part, NotAWholeNumberError, name),)
    first, last = int(span[1]), int(span[2])
    if last < first:
        raise RangeBackwardsError(name=name, text=part)
    if last - first >= MAX_CELLS:  # before a list of so many is made
        raise TooManyCellsError(most=MAX_CELLS, number=last - first + 1)
    return range(first, last + 1)


def _parse_number(part: str, name: str) -> float:
    return _parse(float, part, NotANumberError, name)


def _parse(read: Callable[[str], T], part: str, wrong: type[NotANumberError | NotAWholeNumberError], name: str) -> T:
    try:
        if not part.isascii() or "_" in part or len(part) > MAX_SHOWN_CHARS:
            raise ValueError
        return read(part)
    except ValueError:
        raise wrong(name=name, text=part[:MAX_SHOWN_CHARS]) from None
