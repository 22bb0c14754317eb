"""Safe only if all agree, and young and sexual at once is forbidden whatever was chosen."""

from __future__ import annotations

import math

import pytest

from generation.safety.strictness import Strictness
from generation.safety.verdict import Score, judge

CALM = Score(-0.4, 0.1)
NEAR = Score(-0.15, 0.1)
LOUD = Score(0.1, 0.1)
GROWN, YOUNG = Score(-0.1, 0.0, is_age=True), Score(0.1, 0.0, is_age=True)


def test_one_checker_that_disagrees_is_enough() -> None:
    assert judge({"a": CALM, "b": CALM, "age": YOUNG}).is_safe
    assert not judge({"a": CALM, "b": LOUD}).is_safe
    assert not judge({"a": LOUD, "b": CALM}).is_safe


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("is_age", [True, False])
def test_a_score_that_is_no_number_is_a_no(wrong: float, is_age: bool) -> None:
    verdict = judge({"a": CALM, "b": Score(wrong, 0.1, is_age=is_age)})
    assert (verdict.is_safe, verdict.is_certain, verdict.scores) == (False, False, {"a": -0.4})


def test_no_checker_at_all_has_not_said_yes() -> None:
    assert not judge({}).is_safe
    assert not judge({"age": GROWN}).is_safe


def test_strictness_lowers_every_threshold() -> None:
    safe = [judge({"a": NEAR}, strictness).is_safe for strictness in Strictness]
    assert safe == [True, True, False]


@pytest.mark.parametrize(
    ("scores", "says_young", "forbidden"),
    [
        ({"a": LOUD}, False, False),
        ({"a": LOUD}, True, True),  # the words say the age, a checker the rest
        ({"a": NEAR}, True, True),  # then the strictest thresholds hold
        ({"a": NEAR}, False, False),
        ({"a": CALM}, True, False),
        ({"a": LOUD, "age": YOUNG}, False, True),
        ({"a": LOUD, "age": GROWN}, False, False),
        ({"a": CALM, "age": YOUNG}, True, False),
    ],
)
def test_young_and_sexual_at_once(scores: dict[str, Score], says_young: bool, forbidden: bool) -> None:
    verdict = judge(scores, says_young=says_young)
    assert verdict.is_forbidden is forbidden
    assert not (verdict.is_safe and verdict.is_forbidden)
