"""The conjunction of two scorers, with stand-in words only."""

from __future__ import annotations

import logging
import math

import pytest

from generation.errors import NotAllowed
from generation.protection import REFUSAL, Protection, WordScorer

STAND_IN = Protection(age=WordScorer(["alphatoken"]), sexual=WordScorer(["betatoken"]))


@pytest.mark.parametrize(
    ("texts", "is_refused"),
    [
        (["a circle"], False),
        (["alphatoken"], False),
        (["betatoken"], False),
        (["alphatoken betatoken"], True),
        (["alphatoken", "betatoken"], False),  # a negative prompt that keeps the one out of the other
        (["a circle", "alphatoken betatoken"], True),
        (["4lphat0ken b e t a t o k e n"], True),
    ],
)
def test_only_both_at_once(texts: list[str], is_refused: bool) -> None:
    if not is_refused:
        STAND_IN.require_harmless(texts)
        return
    with pytest.raises(NotAllowed) as refused:
        STAND_IN.require_harmless(texts)
    assert str(refused.value) == REFUSAL


def test_a_score_that_is_no_number_counts_against_it() -> None:
    with pytest.raises(NotAllowed):
        Protection(age=lambda text: math.nan, sexual=lambda text: 1.0).require_harmless(["x"])


def test_only_a_hash_and_scores_are_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(NotAllowed):
        STAND_IN.require_harmless(["alphatoken betatoken"])
    assert "token" not in caplog.text
    assert "age=1.00 sexual=1.00" in caplog.text
