"""The rule that no setting can change: nothing that is young and sexual at once, in words or pictures, anywhere.

Two scorers look at each, one for age and one for sexual content; only their conjunction refuses, so that neither a
playground nor a life class is touched. It holds in every channel and in direct messages, says nothing of which rule it
was, and leaves a hash and two scores behind. Pictures are looked at too (`generation.safety.verdict`): most
checkers see no age, so what the words say of it is crossed with what the checkers see.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache

from generation.rules.rule import Kind, Rule, compile_pattern
from generation.rules.rulebook import Rulebook
from generation.safety.age_words import AGES, SEXUAL, TENS, YOUNG
from generation.safety.errors import MinorSafetyError

log = logging.getLogger(__name__)
Scorer = Callable[[str], float]
"""A text's score, 0 to 1; not a number counts as 1."""
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class MinorSafety:
    """Both scorers. Each text of a request is looked at by itself: a negative prompt that keeps the one out of a
    picture of the other is no reason to refuse it.
    """

    age: Scorer
    sexual: Scorer

    def require_harmless(self, texts: Iterable[str]) -> None:
        """Raise `MinorSafetyError`, saying nothing of why."""
        for text in filter(None, texts):
            if (sexual := self.sexual(text)) < THRESHOLD:
                continue
            if not (age := self.age(text)) < THRESHOLD:
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                log.warning("action=refused-for-protection hash=%s age=%.2f sexual=%.2f", digest, age, sexual)
                raise MinorSafetyError

    def says_young(self, texts: Iterable[str]) -> bool:
        """Return whether one of the texts names an age below 18: then nothing sexual may be in the picture."""
        return any(not self.age(text) < THRESHOLD for text in texts)


class WordScorer:
    """1 for a text that holds one of these words, in whatever spelling (see `generation.rules`), or matches, else 0."""

    def __init__(self, words: Collection[str], patterns: Collection[str] = (), *, ignoring: str = "") -> None:
        rules = [Rule(text=word) for word in words]
        self._book = Rulebook([*rules, *(Rule.unchecked(kind=Kind.PATTERN, text=text) for text in patterns)])
        self._ignored = compile_pattern(ignoring) if ignoring else None

    def __call__(self, text: str) -> float:
        read = text if self._ignored is None else self._ignored.sub("...", text)
        return 1.0 if self._book.matches([read]) else 0.0


@cache
def protection() -> MinorSafety:
    """Return the rule as it holds in every installation."""
    return MinorSafety(age=WordScorer(YOUNG, AGES, ignoring=TENS), sexual=WordScorer(SEXUAL))
