"""What a checker is to the engine."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from generation.safety.verdict import Score, Scores


class Checker(Protocol):
    """A network that scores pictures. `look` may be called from another thread, one call at a time."""

    def look(self, picture: np.ndarray) -> Scores:
        """Return the scores of (height, width, 3) uint8 pixels by name. May raise; then the picture is kept back."""
        ...


def look_with(checkers: tuple[Checker, ...], picture: np.ndarray) -> Scores:
    """Return the scores of all checkers; raise what the first of them raises.

    The first looks beside the others: of those that look at all pictures it takes the longest.
    """
    if len(checkers) < 2:
        return _look_in_turn(checkers, picture)
    beside = _look_beside(checkers[0], picture)
    try:
        others = _look_in_turn(checkers[1:], picture)
    finally:
        first = beside.result()
    return {**first, **others}


def _look_in_turn(checkers: tuple[Checker, ...], picture: np.ndarray) -> Scores:
    scores: dict[str, Score] = {}
    for checker in checkers:
        scores |= checker.look(picture)
    return scores


def _look_beside(checker: Checker, picture: np.ndarray) -> Future[Scores]:
    """Have a checker look in a thread of its own, which nothing waits for when the process ends."""
    result: Future[Scores] = Future()

    def look() -> None:
        try:
            result.set_result(checker.look(picture))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=look, name="checker-beside", daemon=True).start()
    return result
