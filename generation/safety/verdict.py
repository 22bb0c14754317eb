"""What checkers say of a picture, and what follows from it. Anything but a clear yes of all of them is a no."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from generation.safety.strictness import Strictness


@dataclass(frozen=True, slots=True)
class Score:
    """One score of a checker, as its margin over the usual threshold: above zero speaks against the picture."""

    margin: float
    step: float
    """By how much each level of strictness lowers the threshold."""
    is_age: bool = False
    """It speaks of youth, not of sexual content: alone it is nothing against a picture."""

    def margin_at(self, strictness: Strictness) -> float:
        return self.margin + strictness.level * self.step


Scores = Mapping[str, Score]
_STEP = 0.25
"""By which part of it each level of strictness lowers a threshold of a probability."""


def score_probability(probability: float, threshold: float) -> Score:
    """Return the score of a probability that is kept back above `threshold`."""
    return Score(probability - threshold, _STEP * threshold)


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """Whether a picture may be shown; `scores` above zero speak against it (only finite ones are listed)."""

    is_safe: bool
    scores: dict[str, float]
    is_certain: bool = True
    """False where a score is not a number: such a picture is shown nowhere, whatever was chosen."""
    is_forbidden: bool = False
    """Young and sexual at once: shown and kept nowhere, by no choice."""

    def joined(self, other: SafetyVerdict) -> SafetyVerdict:
        """Return the verdict on two pictures that are shown together: the worse of both."""
        worst = {name: max(self.scores.get(name, score), score) for name, score in other.scores.items()}
        return SafetyVerdict(
            self.is_safe and other.is_safe,
            self.scores | worst,
            self.is_certain and other.is_certain,
            self.is_forbidden or other.is_forbidden,
        )


UNCHECKED = SafetyVerdict(True, {})
"""Where checking is switched off."""


def judge(scores: Scores, strictness: Strictness = Strictness.USUAL, *, says_young: bool = False) -> SafetyVerdict:
    """Return the verdict on a picture. It is safe only if every score is a number and none that counts is above zero.

    `says_young`: the words it was made from name an age below 18. Few checkers see age, so then what the strictest
    thresholds find sexual is forbidden.
    """
    margins = {name: score.margin_at(strictness) for name, score in scores.items()}
    sexual = [score for score in scores.values() if not score.is_age]
    is_certain = bool(sexual) and all(map(math.isfinite, margins.values()))
    is_safe = is_certain and all(score.margin_at(strictness) <= 0 for score in sexual)
    looks_young = any(score.is_age and score.margin_at(strictness) > 0 for score in scores.values())
    is_forbidden = looks_young and any(score.margin_at(strictness) > 0 for score in sexual)
    is_forbidden |= says_young and any(score.margin_at(Strictness.STRICTEST) > 0 for score in sexual)
    finite = {name: round(margin, 4) for name, margin in margins.items() if math.isfinite(margin)}
    return SafetyVerdict(is_safe and not is_forbidden, finite, is_certain, is_forbidden)
