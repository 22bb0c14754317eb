"""Prompts that change while a picture is painted, as in AUTOMATIC1111's web UI.

| written | read |
|---|---|
| `[a:b:0.5]` | a for the first half of the steps, then b; either may be empty |
| `[a:0.5]`, `[a::0.5]` | a after half of the steps; a until then |
| `[a:b:10]` | a for ten steps, then b |
| `[a|b|c]` | a in the first step, b in the second, c in the third, then a again |

They nest, and weights may stand inside. Steps are counted from 1 over those that run. In the second pass of a hires fix
the steps go on from those of the first, so 1.5 is the middle of it. Brackets with anything else are left for
`generation.requests.prompt_weights`. A back-slash makes a sign plain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from generation.requests.decimals import read_decimal
from generation.requests.errors import PromptEditsTooDeepError, TooManyPromptEditsError
from generation.requests.passes import Pass

MAX_DEPTH = 8
MAX_WORDINGS = 12
"""Of one picture: each is encoded before its first step."""
FIRST_SYNTAX_WITH_EDITS = 3
_PARTS = re.compile(r"\\.|[\[\]():\uff1a|]|[^\\\[\]():\uff1a|]+|\\", re.DOTALL)
_PARTNERS = {")": "(", "]": "["}


class Wording(NamedTuple):
    """A prompt and a negative prompt as they are in one step."""

    prompt: str
    negative: str


class Moment(NamedTuple):
    """A step of a walk: its number from 1, how many there are, and the steps and walks that came before."""

    step: int
    steps: int
    steps_before: int = 0
    walks_before: int = 0


@dataclass(frozen=True, slots=True)
class _Edit:
    before: Sequence[_Part]
    after: Sequence[_Part]
    number: float
    is_share: bool
    depth: int

    def choose(self, now: Moment) -> Sequence[_Part]:
        share = (self.number - now.walks_before) * now.steps + 1e-9  # 0.3 of ten steps are three
        last = share if self.is_share else self.number - now.steps_before
        return self.before if now.step <= int(max(last, 0)) else self.after


@dataclass(frozen=True, slots=True)
class _Alternation:
    options: Sequence[Sequence[_Part]]
    depth: int

    def choose(self, now: Moment) -> Sequence[_Part]:
        return self.options[(now.step - 1) % len(self.options)]


_Part = str | _Edit | _Alternation


@dataclass(slots=True)
class _Open:
    """A bracket and what follows it so far, between its colons and strokes."""

    bracket: str = ""
    segments: list[list[_Part]] = field(default_factory=lambda: [[]])
    signs: list[str] = field(default_factory=list)

    def spill(self) -> list[_Part]:
        """Return it as it is written."""
        parts: list[_Part] = [self.bracket, *self.segments[0]]
        for sign, segment in zip(self.signs, self.segments[1:], strict=True):
            parts += [sign, *segment]
        return parts


def plan_wordings(prompts: Wording, walks: Sequence[Pass], syntax: int) -> tuple[tuple[Wording, ...], ...]:
    """Return the wording of each model evaluation of each walk; none if it never changes.

    Raise `InvalidRequestError` for edits too deep or too many.
    """
    if syntax < FIRST_SYNTAX_WITH_EDITS or not any("[" in text for text in prompts):
        return ()
    read = [_parse(text) for text in prompts]
    if all(isinstance(part, str) for parts in read for part in parts):
        return ()
    planned: list[tuple[Wording, ...]] = []
    for index, walk in enumerate(walks):
        before = sum(each.steps for each in walks[:index])
        steps = (1 + at * walk.steps // walk.evaluations for at in range(walk.evaluations))
        moments = (Moment(step, walk.steps, before, index) for step in steps)
        planned.append(tuple(Wording(*(_write(parts, now) for parts in read)) for now in moments))
    if (number := len({each for row in planned for each in row})) > MAX_WORDINGS:
        raise TooManyPromptEditsError(number=number, most=MAX_WORDINGS)
    return tuple(planned)


def _write(parts: Sequence[_Part], now: Moment) -> str:
    """Return the text at that moment, on one line."""
    return " ".join(_join(parts, now).split())


def _join(parts: Sequence[_Part], now: Moment) -> str:
    return "".join(part if isinstance(part, str) else _join(part.choose(now), now) for part in parts)


def _parse(prompt: str) -> list[_Part]:
    """Return plain text and edits in order. One pass, no recursion."""
    opened = [_Open()]
    for match in _PARTS.finditer(prompt):
        part = match[0]
        if part in "[(":
            opened.append(_Open(part))
        elif part in "])" and opened[-1].bracket == _PARTNERS[part]:
            closed = opened.pop()
            opened[-1].segments[-1] += _close(closed) if part == "]" else [*closed.spill(), ")"]
        elif part in ":\uff1a|" and len(opened) > 1:
            opened[-1].signs.append(part)
            opened[-1].segments.append([])
        else:
            opened[-1].segments[-1].append(part)
    while len(opened) > 1:
        rest = opened.pop()
        opened[-1].segments[-1] += rest.spill()
    return opened[0].segments[0]


def _close(closed: _Open) -> list[_Part]:
    """Return what stands in square brackets: an edit, an alternation, or plain text."""
    segments, signs = closed.segments, set(closed.signs)
    depth = 1 + max((part.depth for each in segments for part in each if not isinstance(part, str)), default=0)
    found: _Part | None = None
    if signs == {"|"}:
        found = _Alternation(segments, depth)
    elif signs and "|" not in signs and len(segments) <= 3 and (when := _read_when(segments[-1])) is not None:
        before = segments[0] if len(segments) == 3 else []
        found = _Edit(before, segments[-2], *when, depth)
    if found is None:
        return [*closed.spill(), "]"]
    if depth > MAX_DEPTH:
        raise PromptEditsTooDeepError(most=MAX_DEPTH)
    return [found]


def _read_when(segment: list[_Part]) -> tuple[float, bool] | None:
    """Return a number, and whether it is a share of the steps: it is unless only digits are written."""
    text = segment[0].strip() if len(segment) == 1 and isinstance(segment[0], str) else ""
    number = read_decimal(text)
    return None if number is None else (number, not text.isdecimal())
