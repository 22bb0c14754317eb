"""What a checker is to the engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from generation.safety.verdict import Score, Scores


class Checker(Protocol):
    """A network that scores pictures. `look` may be called from another thread, one call at a time."""

    def look(self, picture: np.ndarray) -> Scores:
        """Return the scores of (height, width, 3) uint8 pixels by name. May raise; then the picture is kept back."""
        ...


def look_with(checkers: tuple[Checker, ...], picture: np.ndarray) -> Scores:
    """Return the scores of all checkers; raise what the first of them raises."""
    scores: dict[str, Score] = {}
    for checker in checkers:
        scores |= checker.look(picture)
    return scores
