"""Checkers look at a picture at once, and none is left out whatever another does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from generation.engine.checkers.verdict import look_with
from generation.safety.verdict import Score, Scores
from tests.patience import PATIENCE_S

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Told:
    """A checker that does what it is told to."""

    def __init__(self, name: str, do: Callable[[], object] = lambda: None) -> None:
        self.name, self.do = name, do

    def look(self, picture: np.ndarray) -> Scores:
        self.do()
        return {self.name: Score(-0.5, 0.1)}


def fail(error: Exception) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def test_the_first_looks_while_the_others_do() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)
    threads: set[str] = set()
    checkers = (
        Told("a", both.wait),
        Told("b", both.wait),
        Told("c", lambda: threads.add(threading.current_thread().name)),
    )
    assert list(look_with(checkers, PICTURE)) == ["a", "b", "c"]
    assert threads == {threading.current_thread().name}, "torch's threads are set for the caller"


@pytest.mark.parametrize("number", [0, 1])
def test_one_alone_or_none_looks_in_the_callers_thread(number: int) -> None:
    threads: list[threading.Thread] = []
    checkers = tuple(Told(name, lambda: threads.append(threading.current_thread())) for name in "a"[:number])
    assert list(look_with(checkers, PICTURE)) == list("a"[:number])
    assert threads == [threading.current_thread()] * number


def test_the_error_of_the_first_that_failed_is_raised() -> None:
    first, second = ValueError("first"), ValueError("second")
    for checkers, error in (
        ((Told("a", fail(first)), Told("b")), first),
        ((Told("a"), Told("b", fail(second))), second),
        ((Told("a", fail(first)), Told("b", fail(second))), first),
    ):
        with pytest.raises(ValueError) as raised:
            look_with(checkers, PICTURE)
        assert raised.value is error
