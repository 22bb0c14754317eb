"""Whether a finished picture may be shown in a place, by the guild's choice and the checker's scores.

Asked twice, because a channel can change between a request and its result: when a request is accepted, and when its
result is posted. The stricter answer holds. A picture that was not checked counts as flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from generation.safety.strictness import Strictness


class SafetyLevel(StrEnum):
    """What happens to a picture the safety checker flags."""

    OFF = "off"  # it is shown; age-restricted channels only
    BLUR = "blur"  # it is shown behind a spoiler
    BLOCK = "block"  # it is kept back and refunded


_STRICTNESS = {SafetyLevel.OFF: 0, SafetyLevel.BLUR: 1, SafetyLevel.BLOCK: 2}


class Shown(StrEnum):
    """How a picture may be shown."""

    OPENLY = "openly"
    SPOILER = "spoiler"  # behind Discord's blur, until a viewer presses it
    NOT = "not"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggedHandling:
    """What was decided when a request was accepted."""

    level: SafetyLevel = SafetyLevel.BLOCK
    strictness: Strictness = Strictness.USUAL
    """By which thresholds its pictures are judged."""
    review_hours: int = 0
    """Pictures that are kept back are stored, blurred, for so long; 0 stores none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyScores:
    """What the safety checker said of a picture: `margins` over its thresholds, above zero speak against it."""

    is_flagged: bool
    margins: dict[str, float]


UNREADABLE_JUDGEMENT = SafetyScores(is_flagged=True, margins={})
"""Stands for a stored judgement that cannot be read: what was not judged for certain counts as flagged."""


def get_level_at(level: SafetyLevel, *, is_age_restricted: bool) -> SafetyLevel:
    """Return what a guild's level means in a place: off holds in age-restricted channels only, and blocks elsewhere."""
    return SafetyLevel.BLOCK if level is SafetyLevel.OFF and not is_age_restricted else level


def stricter(one: SafetyLevel, other: SafetyLevel) -> SafetyLevel:
    return max(one, other, key=_STRICTNESS.__getitem__)


def how_shown(judgement: SafetyScores | None, level: SafetyLevel, *, is_harmless: bool) -> Shown:
    """Return how a picture is shown; with `is_harmless`, a missing judgement does not count."""
    is_flagged = judgement.is_flagged if judgement is not None else not is_harmless
    if not is_flagged or level is SafetyLevel.OFF:
        return Shown.OPENLY
    if level is SafetyLevel.BLUR and judgement is not None:
        return Shown.SPOILER
    return Shown.NOT
