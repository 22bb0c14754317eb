"""Patterns within the budget of a guild, and a text that uses every instruction of theirs."""

from __future__ import annotations

import random
from collections.abc import Callable

from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import RuleSet

NASTY_TEXT = "".join(random.Random(16).choices("ac", k=1480))


def patterns(number: int, of: Callable[[int], str]) -> RuleSet:
    return RuleSet.of(Rule.unchecked(kind=Kind.PATTERN, text=of(each)) for each in range(number))


def slow_rules() -> RuleSet:
    """Return patterns that each begin with another class: RE2 matches a common beginning only once."""
    return patterns(500, lambda each: rf"{_class(each)}\C{{{100 + each % 90}}}{_class(7 * each)}{each}")


def _class(number: int) -> str:
    return "[" + "".join(sorted(random.Random(number).sample("abcdefgh", 3))) + "c]"
