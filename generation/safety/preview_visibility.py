"""Whether the preview of a model may be shown in a place: by the rule of all pictures, today's thresholds and choices.

It was looked at when it was added. A checker that was added since has not seen it, so then it counts as not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from generation.models.registry import Preview, PreviewScore
from generation.safety.checker_trust import SHARED
from generation.safety.verdict import Score, judge, score_probability
from generation.safety.visibility import FlaggedHandling, SafetyScores, Shown, how_shown


def how_preview_shown(
    preview: Preview,
    handling: FlaggedHandling,
    *,
    thresholds: Mapping[str, float],
    added_checkers: Collection[str],
    checks_safety: bool,
    says_young: bool,
) -> Shown:
    """Return how a preview is shown.

    `handling`: how flagged pictures are handled in the place. `thresholds`: the operator's, of the shared checkers.
    `added_checkers`: those that look at every picture now, by their SHA-256. `says_young`: words beside the preview
    name an age below 18.
    """
    scores = {name: _read_score(name, each, thresholds) for name, each in preview.scores.items()}
    verdict = judge(scores, handling.strictness, says_young=says_young)
    if verdict.is_forbidden or not verdict.is_certain:
        return Shown.NOT
    is_judged = checks_safety and scores.keys() >= SHARED and set(added_checkers) <= set(preview.added_checkers)
    judgement = SafetyScores(is_flagged=not verdict.is_safe, margins=verdict.scores) if is_judged else None
    return how_shown(judgement, handling.level, is_harmless=False)


def _read_score(name: str, kept: PreviewScore, thresholds: Mapping[str, float]) -> Score:
    if name in SHARED:
        return score_probability(kept.value, thresholds[name])
    return Score(kept.value, kept.step, kept.is_age)
