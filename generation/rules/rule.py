"""One rule of a guild, as a value that checks itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import re2

from generation.rules import folding
from generation.rules.errors import (
    EmptyPatternError,
    PatternUnusableError,
    ReasonTooLongError,
    RuleTooLongError,
    RuleWithoutTextError,
)
from generation.validation import checked, stored

MAX_RULES = 10_000
MAX_PATTERNS = 500
"""Patterns cost time with every prompt, words do not."""
MAX_TEXT_CHARS = 200
MAX_REASON_CHARS = 200
_PATTERN_MEMORY = 1 << 20


class Kind(StrEnum):
    WORD = "word"  # one or several whole words, however they are spelled; `*` at the end: any ending
    PATTERN = "pattern"  # an RE2 regular expression


class Action(StrEnum):
    BLOCK = "block"  # the request is refused
    WARN = "warn"  # it is accepted, and the user is warned


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Raise `InvalidRequestError` for what cannot be a rule. With no channels or roles it holds everywhere, for all."""

    kind: Kind = Kind.WORD
    text: str
    action: Action = Action.BLOCK
    reason: str = ""
    """Shown to the person whose prompt it matched."""
    channel_ids: tuple[int, ...] = ()
    role_ids: tuple[int, ...] = ()
    id: int = field(default=0, compare=False)
    """0 until it is stored."""

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TEXT_CHARS:
            raise RuleTooLongError(most=MAX_TEXT_CHARS, number=len(self.text))
        if len(self.reason) > MAX_REASON_CHARS:
            raise ReasonTooLongError(most=MAX_REASON_CHARS, number=len(self.reason))
        if self.kind is Kind.PATTERN:
            compile_pattern(self.text)
        elif not folding.words(folding.fold(self.text)):
            raise RuleWithoutTextError

    @classmethod
    def unchecked(cls, **values: Any) -> Rule:
        """Return a rule from values that were checked when they were stored.

        What a later RE2 no longer takes must still be listed and removed, and ten thousand checks cost a while.
        """
        with stored():
            return cls(**values)

    def with_id(self, number: int) -> Rule:
        """Return the same rule under another id, without checking it again."""
        with stored():
            return replace(self, id=number)

    @property
    def matches_everything(self) -> bool:
        """Whether it matches even a prompt that says nothing."""
        return self.kind is Kind.PATTERN and compile_pattern(self.text).search("") is not None


with stored():
    UNREADABLE_RULE = Rule(text="?")
    """Stands for a stored rule that this release cannot read. It is listed, can be removed, and passes no check."""


def compile_pattern(text: str) -> re2._Regexp:
    """Compile a pattern.

    Raise `InvalidRequestError` with RE2's own reason: it knows no look-around and no back-references.
    """
    if not text:
        raise EmptyPatternError
    try:
        return re2.compile(text, options())
    except re2.error as wrong:
        said = wrong.args[0] if wrong.args else ""
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise PatternUnusableError(text=text, reason=reason) from None


def options() -> re2.Options:
    """Return how every pattern is read: any case, a bounded memory, and nothing printed."""
    chosen = re2.Options()
    chosen.case_sensitive = False
    chosen.log_errors = False
    chosen.max_mem = _PATTERN_MEMORY
    return chosen
