"""Choices in a prompt, `{a|b}` and `__list__`, and what is drawn of them for one picture.

| written | drawn |
|---|---|
| `{a|b|c}` | one of them; they nest, and one may be empty |
| `{2::a|b}` | `a` twice as often as `b` |
| `{2$$a|b|c}` | two different ones, with a comma between them |
| `{1-2$$ and $$a|b|c}` | one or two, with ` and ` between them |
| `__animal__` | one line of this server's list of that name, which may hold choices itself |

Braces without `|` or `$$`, a brace without its partner and what a back-slash precedes are plain text.

What is drawn depends on the text and the picture's seed alone (`Dice`), so it is the same on every machine and in every
release that has the same `DRAWING`. It is bounded: in depth, in the number of draws, and lists do not lead back to
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from generation.requests.errors import (
    ChoicesTooDeepError,
    NoWordListsError,
    TooManyDrawsError,
    UnknownWordListError,
    WordListLoopError,
)

DRAWING = 1
"""The version of what is drawn from a seed. It is recorded with what was drawn."""
MAX_DEPTH = 8
MAX_DRAWS = 100
MAX_LISTED = 25
Lists = Mapping[str, Sequence[str]]
"""Lines by the name of their list, which is in small letters."""

NAME = re.compile(r"[^\W_]+(?:[_-][^\W_]+)*")
_WHOLE = 10_000
_PARTS = re.compile(
    rf"\\. | <(?:lora|lyco|hypernet):[^<>{{}}|]*> | (?<!\w)__(?P<list>{NAME.pattern})__(?!\w) | [{{}}|] | .",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_WEIGHT = re.compile(r"\s*(\d{1,4}(?:\.\d{1,4})?)::")
_PICK = re.compile(r"\s*(\d{1,2})(?:-(\d{1,2}))?\$\$(?:([^${}|]*)\$\$)?")


@dataclass(frozen=True, slots=True)
class _ListName:
    name: str


@dataclass(slots=True)
class _Open:
    """A brace and what follows it so far."""

    options: list[list[_Part]] = field(default_factory=lambda: [[]])

    def add(self, part: _Part) -> None:
        last = self.options[-1]
        if isinstance(part, str) and last and isinstance(last[-1], str):
            last[-1] += part
        else:
            last.append(part)


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple[_Part, ...], ...]
    weights: tuple[int, ...]
    least: int
    most: int
    joint: str
    depth: int


_Part = str | _ListName | _Choice


class Dice:
    """Numbers drawn from a seed: the n-th is the first 64 bits of the SHA-256 of `atelier:1:SEED:n`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.num_rolls = 0

    def roll(self, sides: int) -> int:
        """Return a number from 0 to `sides` - 1. Raise `TooManyDrawsError` after `MAX_DRAWS`."""
        if self.num_rolls == MAX_DRAWS:
            raise TooManyDrawsError(most=MAX_DRAWS)
        digest = sha256(f"atelier:{DRAWING}:{self._seed}:{self.num_rolls}".encode()).digest()
        self.num_rolls += 1
        return int.from_bytes(digest[:8], "big") * sides >> 64


def holds_choices(text: str) -> bool:
    """Return whether there is something to draw. Raise `ChoicesTooDeepError` if choices nest too deep."""
    return ("{" in text or "__" in text) and any(not isinstance(part, str) for part in _parse(text))


def draw(text: str, lists: Lists, dice: Dice) -> str:
    """Return the text with each choice drawn, on one line. Raise `InvalidRequestError` for an unknown list or beyond
    the bounds."""
    return " ".join(_draw(_parse(text), lists, dice, ()).split())


def _draw(parts: Sequence[_Part], lists: Lists, dice: Dice, within: tuple[str, ...]) -> str:
    return "".join(part if isinstance(part, str) else _draw_one(part, lists, dice, within) for part in parts)


def _draw_one(part: _ListName | _Choice, lists: Lists, dice: Dice, within: tuple[str, ...]) -> str:
    if isinstance(part, _ListName):
        return _draw_line(part.name, lists, dice, within)
    left = list(range(len(part.options)))
    number = part.least + (dice.roll(part.most - part.least + 1) if part.most > part.least else 0)
    chosen = [
        left.pop(_weigh([part.weights[index] for index in left], dice)) for _ in range(min(number, len(part.options)))
    ]
    return part.joint.join(_draw(part.options[index], lists, dice, within) for index in chosen)


def _weigh(weights: Sequence[int], dice: Dice) -> int:
    """Return the place of one of the weights, each as likely as it is heavy."""
    rest = dice.roll(sum(weights))
    for index, weight in enumerate(weights):
        rest -= weight
        if rest < 0:
            return index
    raise AssertionError("a roll is below the sum")


def _draw_line(written: str, lists: Lists, dice: Dice, within: tuple[str, ...]) -> str:
    name = written.casefold()
    if name in within:
        raise WordListLoopError(name=name)
    if len(within) == MAX_DEPTH:
        raise ChoicesTooDeepError(most=MAX_DEPTH)
    lines = lists.get(name)
    if not lists:
        raise NoWordListsError(name=written)
    if not lines:
        raise UnknownWordListError(name=written, available=", ".join(sorted(lists)[:MAX_LISTED]))
    return _draw(_parse(lines[dice.roll(len(lines))]), lists, dice, (*within, name))


def _parse(text: str) -> list[_Part]:
    """Return plain text, names of lists and choices in order. One pass, no recursion."""
    opened = [_Open()]
    for match in _PARTS.finditer(text):
        part = match[0]
        if name := match["list"]:
            opened[-1].add(_ListName(name))
        elif part == "{":
            opened.append(_Open())
        elif part == "|" and len(opened) > 1:
            opened[-1].options.append([])
        elif part == "}" and len(opened) > 1:
            _close(opened)
        else:
            opened[-1].add(part)
    while len(opened) > 1:
        _spill(opened, "")
    return opened[0].options[0]


def _close(opened: list[_Open]) -> None:
    first = opened[-1].options[0]
    head = first[0] if first and isinstance(first[0], str) else ""
    pick = _PICK.match(head)
    if pick is None and len(opened[-1].options) == 1:
        _spill(opened, "}")
        return
    if pick is not None:
        first[0] = head[pick.end() :]
    options, weights = zip(*map(_read_weight, opened.pop().options), strict=True)
    least, most = sorted((int(pick[1]), int(pick[2] or pick[1]))) if pick else (1, 1)
    depth = 1 + max((part.depth for option in options for part in option if isinstance(part, _Choice)), default=0)
    if depth > MAX_DEPTH:
        raise ChoicesTooDeepError(most=MAX_DEPTH)
    joint = ", " if pick is None or pick[3] is None else pick[3]
    opened[-1].add(_Choice(options, weights, least, most, joint, depth))


def _spill(opened: list[_Open], end: str) -> None:
    """Make a brace plain text, with what follows it."""
    brace = opened.pop()
    opened[-1].add("{")
    for index, option in enumerate(brace.options):
        if index and len(opened) > 1:
            opened[-1].options.append([])
        elif index:
            opened[-1].add("|")
        for part in option[:1]:
            opened[-1].add(part)
        opened[-1].options[-1] += option[1:]
    opened[-1].add(end)


def _read_weight(option: list[_Part]) -> tuple[tuple[_Part, ...], int]:
    head = option[0] if option and isinstance(option[0], str) else ""
    weight = _WEIGHT.match(head)
    scaled = round(float(weight[1]) * _WHOLE) if weight else 0
    if weight is None or not scaled:
        return tuple(option), _WHOLE
    return (head[weight.end() :], *option[1:]), scaled
