"""`(word:1.2)`: how strongly each part of a prompt is meant, in the syntax of AUTOMATIC1111's web UI.

`(x)` is x times 1.1, `[x]` divided by 1.1, `(x:1.3)` times 1.3; they nest and multiply; a back-slash makes a bracket
plain. Anything else is text, a bracket without its partner included. One pass, no recursion, and a weight ends
between 0 and 2: a thousand brackets are neither slow nor strong.

A picture is painted again as it was read, so its spec names the syntax. The first took a number for none unless it was
digits with a point. The second reads every number that `generation.requests.decimals` does; brackets that mean what
is not read here (`(x:80%)`, `[a:b:0.5]`, `[a|b]`) are plain words with no weight, and named. The third has choices
(`generation.requests.wildcards`) and edits (`generation.requests.prompt_schedule`), which are resolved before it is
read here, so a back-slash makes their signs plain too; and BREAK, which is for who cuts a prompt into chunks. The
fourth has regions (`generation.requests.regions`), which are taken apart before.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from generation.requests.decimals import is_meant_as_number, read_decimal

STEP = 1.1
MIN_WEIGHT, MAX_WEIGHT = 0.0, 2.0
FIRST_SYNTAX, SYNTAX = 1, 4
FIRST_SYNTAX_WITH_BREAK = 3
BREAK = re.compile(r"\s*\bBREAK\b\s*")
"""Ends a chunk of the text encoder: what follows begins the next one."""
_PARTS = {
    1: re.compile(r"\\[()\[\]\\]|[(\[\])]|:\s*\d{1,3}(?:\.\d{0,6})?\s*\)|[^\\()\[\]:]+|[\\:]"),
    2: re.compile(r"\\[()\[\]\\]|[(\[\])]|[:\uff1a][^\\()\[\]:\uff1a]*[)\]]|[^\\()\[\]:\uff1a]+|[\\:\uff1a]"),
    3: re.compile(r"\\[()\[\]{}|_\\]|[(\[\])]|[:\uff1a][^\\()\[\]:\uff1a]*[)\]]|[^\\()\[\]:\uff1a]+|[\\:\uff1a]"),
}
_PARTS[4] = _PARTS[3]
_PARTNERS = {")": "(", "]": "["}


class Weighted(NamedTuple):
    """A stretch of prompt and its weight."""

    text: str
    weight: float


class Reading(NamedTuple):
    """What was read of a prompt."""

    stretches: list[Weighted]
    """One of each weight; their texts in order are the prompt without the brackets that were read."""
    unread: list[str]
    """Brackets with what is not read here, as they are written."""
    unbounded: list[str]
    """Brackets with a number below 0 or above 2."""
    weighed: list[str]
    """Brackets that were read as weights, those inside first."""


class _Open(NamedTuple):
    bracket: str
    place: int
    start: int


@dataclass(slots=True)
class _Reader:
    prompt: str
    syntax: int
    texts: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    opened: list[_Open] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    unbounded: list[str] = field(default_factory=list)
    weighed: list[str] = field(default_factory=list)

    def read(self) -> None:
        for match in _PARTS[self.syntax].finditer(self.prompt):
            part = match[0]
            if part in "([":
                self.opened.append(_Open(part, len(self.texts), match.start()))
                self.add(part)
            elif part[-1] in ")]" and not part.startswith("\\"):
                self.close(part, match.end())
            else:
                self.add(part[1:] if len(part) == 2 and part[0] == "\\" else part)

    def add(self, text: str) -> None:
        self.texts.append(text)
        self.weights.append(1.0)

    def close(self, part: str, end: int) -> None:
        """Close a bracket, perhaps with a number: weigh everything since its partner, which is then no longer text."""
        tail, bracket = part[1:-1], part[-1]
        if not self.opened or self.opened[-1].bracket != _PARTNERS[bracket]:
            self.add(part)
            return
        opened = self.opened.pop()
        written = self.prompt[opened.start : end]
        number = read_decimal(tail)
        if self.syntax > FIRST_SYNTAX and _has_more_meaning(bracket, tail, number, written):
            self.unread.append(written)
            self.add(part)
            return
        self.texts[opened.place] = ""
        self.weighed.append(written)
        if number is None and len(part) > 1:
            self.add(part[:-1])
        if number is not None and not MIN_WEIGHT <= number <= MAX_WEIGHT:
            self.unbounded.append(written)
        self.weigh(opened.place, number if number is not None else STEP if bracket == ")" else 1 / STEP)

    def weigh(self, place: int, factor: float) -> None:
        for index in range(place, len(self.texts)):
            # Finite: infinity times a later 0 would be no number at all, and no bound holds that back.
            product = self.weights[index] * factor
            self.weights[index] = max(min(product, sys.float_info.max), -sys.float_info.max)


def read_weights(prompt: str, syntax: int = SYNTAX) -> Reading:
    """Read a prompt by that syntax."""
    reader = _Reader(prompt, syntax)
    reader.read()
    return Reading(_join(reader.texts, reader.weights), reader.unread, reader.unbounded, reader.weighed)


def parse_weights(prompt: str, syntax: int = SYNTAX) -> list[Weighted]:
    """Return the prompt in stretches of one weight each."""
    return read_weights(prompt, syntax).stretches


def _has_more_meaning(bracket: str, tail: str, number: float | None, written: str) -> bool:
    """Return whether brackets mean more than a weight: a time, a choice, or a number that is none."""
    if bracket == "]":
        return number is not None or "|" in written
    return number is None and is_meant_as_number(tail)


def _join(texts: list[str], weights: list[float]) -> list[Weighted]:
    joined: list[Weighted] = []
    for text, weight in zip(texts, weights, strict=True):
        clamped = min(max(weight, MIN_WEIGHT), MAX_WEIGHT)
        if text and joined and joined[-1].weight == clamped:
            joined[-1] = Weighted(joined[-1].text + text, clamped)
        elif text:
            joined.append(Weighted(text, clamped))
    return joined
