"""Looks run in a thread of their own, in order; one that does not end is given up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from generation.engine.checkers.check_thread import CheckerHangsError, CheckThread
from generation.safety.verdict import Score, Scores
from tests.patience import PATIENCE_S

CALM = {"a": Score(-1.0, 0.1)}


class Hanging:
    """A look that does not end before it may."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> Scores:
        self.has_begun.set()
        self.may_end.wait(PATIENCE_S)
        return CALM


def test_looks_run_elsewhere_in_order() -> None:
    ran: list[tuple[int, int]] = []
    thread = CheckThread(PATIENCE_S)

    def look(index: int) -> Scores:
        ran.append((index, threading.get_ident()))
        return CALM

    looks = [thread.submit(lambda index=index: look(index)) for index in range(3)]  # type: ignore[misc]
    assert [each.result.result(PATIENCE_S) for each in looks] == [CALM] * 3
    assert [index for index, _ in ran] == [0, 1, 2]
    assert len({thread for _, thread in ran}) == 1
    assert ran[0][1] != threading.get_ident()
    thread.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_look_has_so_many_threads_and_leaves_others_theirs(threads: int) -> None:
    thread, seen, others = CheckThread(PATIENCE_S, threads=threads), list[int](), torch.get_num_threads()

    def look() -> Scores:
        seen.append(torch.get_num_threads())
        return CALM

    assert thread.submit(look).result.result(PATIENCE_S) == CALM
    assert seen == [threads] and torch.get_num_threads() == others
    thread.close()


def test_a_look_that_raises_tells_its_error_and_the_next_one_runs() -> None:
    thread = CheckThread(PATIENCE_S)
    nothing: dict[str, Any] = {}
    bad, good = thread.submit(lambda: nothing["no"]), thread.submit(lambda: CALM)
    assert isinstance(bad.result.exception(PATIENCE_S), KeyError)
    assert good.result.result(PATIENCE_S) == CALM
    thread.close()


def test_a_look_that_does_not_end_is_given_up_and_the_next_one_runs() -> None:
    thread, hanging = CheckThread(0.0), Hanging()
    stuck = thread.submit(hanging)
    waiting = thread.submit(lambda: CALM)
    assert hanging.has_begun.wait(PATIENCE_S)
    assert not waiting.result.done()
    thread.give_up_late()
    assert isinstance(stuck.result.exception(0), TimeoutError)
    assert waiting.result.result(PATIENCE_S) == CALM
    hanging.may_end.set()  # what comes late changes nothing
    assert isinstance(stuck.result.exception(0), TimeoutError)
    thread.close()


def test_after_a_few_of_them_the_process_is_to_be_replaced() -> None:
    thread, hangings = CheckThread(0.0), [Hanging() for _ in range(4)]
    for hanging in hangings[:3]:
        thread.submit(hanging)
        assert hanging.has_begun.wait(PATIENCE_S)
        thread.give_up_late()
    thread.submit(hangings[3])
    assert hangings[3].has_begun.wait(PATIENCE_S)
    with pytest.raises(CheckerHangsError):
        thread.give_up_late()
    for hanging in hangings:
        hanging.may_end.set()
