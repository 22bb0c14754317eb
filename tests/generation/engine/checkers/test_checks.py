"""Checks run beside the steps: none waits for one, and what is not answered for certain comes out nowhere."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generation.engine.checkers.check_thread import MAX_WAITING
from generation.engine.engine import Engine
from generation.images.codec import decode_png
from generation.jobs.protocol import Cancel, Cancelled, Event, Finished, ImageFailed, Preview, Progress
from generation.safety.verdict import Score, Scores
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, ends, paint, run
from tests.generation.engine.toy import toy_model
from tests.patience import PATIENCE_S

CALM = {"own": Score(-0.5, 0.1)}


class Checker:
    """A model's own checker that does what it is told to."""

    def __init__(self, answer: Callable[[], Scores] = lambda: CALM) -> None:
        self.answer = answer
        self.may_end = threading.Event()

    def look(self, picture: np.ndarray) -> Scores:
        return self.answer()

    def hang(self) -> Scores:
        assert self.may_end.wait(PATIENCE_S)
        return CALM


@pytest.fixture
def checker() -> Iterator[Checker]:
    checker = Checker()
    yield checker
    checker.may_end.set()


@pytest.fixture
def make(toy_folder: Path, checker: Checker) -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def build(**settings: Any) -> Engine:
        engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1, **settings))
        engine._models.get("toy").checkers = (checker,)  # type: ignore[assignment]
        made.append(engine)
        return engine

    yield build
    for engine in made:
        engine.close()


def step_until(engine: Engine, is_there: Callable[[list[Event]], bool]) -> list[Event]:
    said: list[Event] = []
    for _ in range(20_000):
        said += engine.step()
        if is_there(said):
            return said
    raise AssertionError(said)


def test_others_step_while_a_picture_is_looked_at(make: Callable[..., Engine], checker: Checker) -> None:
    engine = make(check_timeout_s=PATIENCE_S)
    checker.answer = checker.hang
    engine.admit(an_order(image_id="a-0", check_safety=True))
    engine.admit(an_order(a_spec(steps=20), image_id="b-0", check_safety=False))
    said = step_until(engine, lambda said: "b-0" in ends(said))
    assert "a-0" not in ends(said)
    assert not engine.is_idle
    checker.may_end.set()
    assert isinstance(ends(step_until(engine, lambda said: bool(ends(said))))["a-0"], Finished)
    assert engine.is_idle


def test_only_so_many_pictures_wait(make: Callable[..., Engine], checker: Checker) -> None:
    engine = make(check_timeout_s=PATIENCE_S)
    checker.answer = checker.hang
    names = [f"{index}-0" for index in range(MAX_WAITING + 3)]
    for name in names:
        engine.admit(an_order(a_spec(steps=1), image_id=name, check_safety=True))

    def is_full(said: list[Event]) -> bool:
        return sum(isinstance(event, Progress) for event in said) == len(names) and not engine._checks.has_room

    step_until(engine, is_full)
    for _ in range(3):
        engine.step()
    assert len(engine._checks._pending) == MAX_WAITING
    assert len(engine._slots) == 3, "the others keep their places, so that nobody new comes"
    checker.may_end.set()
    assert ends(step_until(engine, lambda said: len(ends(said)) == len(names))).keys() == set(names)


@pytest.mark.parametrize("stage", ["the end", "the start"])
def test_what_is_cancelled_while_it_is_looked_at_comes_out_nowhere(
    make: Callable[..., Engine], checker: Checker, stage: str
) -> None:
    engine = make(check_timeout_s=PATIENCE_S)
    checker.answer = checker.hang
    spec = a_spec(start=a_start()) if stage == "the start" else a_spec()
    engine.admit(an_order(spec, check_safety=True))
    steps = 0
    while engine._slots:
        steps += sum(isinstance(event, Progress) for event in engine.step())
    [cancelled] = engine.cancel(Cancel(image_id="a-0", attempt=1))
    assert isinstance(cancelled, Cancelled)
    assert cancelled.evaluations == steps == (0 if stage == "the start" else 4)
    checker.may_end.set()
    assert engine.is_idle
    assert engine.step() == []


@pytest.mark.parametrize("bad", ["raises", "no number", "does not end"])
def test_a_checker_that_fails_lets_nothing_out(make: Callable[..., Engine], checker: Checker, bad: str) -> None:
    engine = make(check_timeout_s=0.0 if bad == "does not end" else PATIENCE_S)

    def fail() -> Scores:
        raise ValueError("broken")

    answers = {"raises": fail, "no number": lambda: {"own": Score(math.nan, 0.1)}, "does not end": checker.hang}
    checker.answer = answers[bad]
    said = run(engine, an_order(check_safety=True, shows_flagged=True, keeps_for_review=True, num_previews=1))
    end = ends(said)["a-0"]
    assert not any(isinstance(event, Preview) for event in said)
    if bad == "no number":
        assert isinstance(end, Finished)
        assert (end.withheld, end.flagged, end.pixels, end.review_jpeg) == (True, True, b"", b"")
    else:
        assert isinstance(end, ImageFailed)
        assert (end.error, "so it is kept back" in end.message) == ("Unchecked", True)


def test_after_a_look_that_did_not_end_pictures_come_out_again(make: Callable[..., Engine], checker: Checker) -> None:
    engine = make(check_timeout_s=0.0)
    checker.answer = checker.hang
    assert isinstance(ends(run(engine, an_order(check_safety=True)))["a-0"], ImageFailed)
    checker.answer = lambda: CALM
    object.__setattr__(engine._checks._thread, "_timeout_s", PATIENCE_S)
    assert paint(engine, an_order(check_safety=True)).pixels


def test_words_that_name_an_age_are_crossed_with_the_picture(make: Callable[..., Engine], checker: Checker) -> None:
    checker.answer = lambda: {"own": Score(-0.1, 0.1)}
    engine = make()
    assert paint(engine, an_order(check_safety=True)).pixels
    young = paint(engine, an_order(check_safety=True, says_young=True, shows_flagged=True, keeps_for_review=True))
    assert (young.withheld, young.flagged, young.pixels, young.review_jpeg) == (True, True, b"", b"")


@pytest.mark.parametrize("margin", [-0.5, 0.5])
def test_a_picture_from_elsewhere_is_only_looked_at(
    make: Callable[..., Engine], checker: Checker, margin: float
) -> None:
    checker.answer = lambda: {"own": Score(margin, 0.1)}
    end = paint(make(), an_order(check_safety=True, painted_png=a_picture()))
    assert end.withheld is (margin > 0)
    assert end.pixels == (b"" if end.withheld else decode_png(a_picture())[0])
    assert (end.evaluations, end.trace, end.safety_scores["own"]) == (0, "", margin)


def test_a_picture_from_elsewhere_is_of_the_size_asked_for(make: Callable[..., Engine]) -> None:
    order = an_order(check_safety=True, painted_png=a_picture(size_px=(72, 64)))
    assert isinstance(ends(run(make(), order))["a-0"], ImageFailed)
