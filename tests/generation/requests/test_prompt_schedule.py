"""Prompts that change while a picture is painted: what they are in each step, and what rules see of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.policy.policy import collect_texts
from generation.requests.edits import Hires
from generation.requests.errors import PromptEditsTooDeepError, TooManyPromptEditsError
from generation.requests.passes import Pass
from generation.requests.prompt_schedule import MAX_WORDINGS, Wording, plan_wordings
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unread_syntax import list_prompt_notes

SPEC = ImageSpec(
    prompt="a", model="toy", width_px=64, height_px=64, steps=4, guidance=3.0, sampler="DDIM", seed=1, syntax=3
)


WALK = [Pass(64, 64, 4, 4)]


def words(prompt: str, *, steps: int = 4, evaluations: int = 0) -> list[str]:
    [plan] = plan_wordings(Wording(prompt, ""), [Pass(64, 64, evaluations or steps, steps)], 3)
    return [each.prompt for each in plan]


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("[a:b:0.5]", ["a", "a", "b", "b"]),
        ("x [a:0.5] y", ["x y", "x y", "x a y", "x a y"]),
        ("x [a::0.5]", ["x a", "x a", "x", "x"]),
        ("[:a:.25]", ["", "a", "a", "a"]),
        ("[a:b:3]", ["a", "a", "a", "b"]),
        ("[a:b: 3 ]", ["a", "a", "a", "b"]),
        ("[a:b:0,5] [c:d:½]", ["a c", "a c", "b d", "b d"]),
        ("[a:b:1]", ["a", "b", "b", "b"]),
        ("[a:b:1.0]", ["a"] * 4),
        ("[a:b:99]", ["a"] * 4),
        ("[a:b:0]", ["b"] * 4),
        ("[a:b:-1]", ["b"] * 4),
        ("[a|b]", ["a", "b", "a", "b"]),
        ("[a||b]", ["a", "", "b", "a"]),
        ("[[a|b]:c:0.5]", ["a", "b", "c", "c"]),
        ("[(a:1.2)|[b]] (c:0.5)", ["(a:1.2) (c:0.5)", "[b] (c:0.5)", "(a:1.2) (c:0.5)", "[b] (c:0.5)"]),
        (r"[a\:b|\|]", [r"a\:b", r"\|"] * 2),
        ("[(a:b:c)|d]", ["(a:b:c)", "d"] * 2),
        ("[x [a|b]", ["[x a", "[x b"] * 2),
    ],
)
def test_what_the_prompt_is_in_each_step(prompt: str, meant: list[str]) -> None:
    assert words(prompt) == meant


@pytest.mark.parametrize(
    "prompt",
    ["[a]", "[a:b]", "[a:b:c]", "(a|b)", "(a:b:0.5)", "[a|b:0.5]", "[a:b:c:0.5]", r"\[a|b\]", "[a|b", "[a:b:]"],
)
def test_anything_else_is_left_as_it_is(prompt: str) -> None:
    assert plan_wordings(Wording(prompt, ""), WALK, 3) == ()


def test_an_older_prompt_never_changes() -> None:
    assert all(plan_wordings(Wording("[a|b]", ""), WALK, syntax) == () for syntax in (1, 2))
    assert replace(SPEC, prompt="[a|b]", syntax=2).plan == ()


def test_a_sampler_of_two_evaluations_a_step_counts_steps() -> None:
    assert words("[a:b:0.5]", steps=4, evaluations=7) == ["a"] * 4 + ["b"] * 3
    assert words("[a|b]", steps=3, evaluations=5) == ["a", "a", "b", "b", "a"]
    heun = replace(SPEC, prompt="[a:b:2]", sampler="Heun")
    assert [each.prompt for each in heun.plan[0]] == ["a"] * 4 + ["b"] * 3


def test_the_second_pass_goes_on() -> None:
    spec = replace(SPEC, prompt="[a:b:0.5] [c:d:1.5] [e:f:5]", hires=Hires(factor=2.0, strength=1.0))
    first, second = spec.plan
    assert [each.prompt for each in first] == ["a c e"] * 2 + ["b c e"] * 2
    assert [each.prompt for each in second] == ["b c e", "b c f", "b d f", "b d f"]


def test_the_bounds() -> None:
    with pytest.raises(PromptEditsTooDeepError):
        replace(SPEC, prompt="[a|" * 9 + "b" + "]" * 9)
    many = "".join(f"[{n}:{n / (MAX_WORDINGS + 2):.3f}]" for n in range(MAX_WORDINGS + 2))
    with pytest.raises(TooManyPromptEditsError):
        replace(SPEC, prompt=many, steps=100)
    assert len(replace(SPEC, prompt="[a|b] [c|d|e]", steps=100).wordings) == 6


def test_rules_and_age_words_see_every_wording() -> None:
    spec = replace(SPEC, prompt="grem[lin|x] [a::0.5]b", negative="[c|d]ot")
    texts = collect_texts(GenerationRequest(spec=spec), default_model="toy")
    assert {"gremlin ab", "gremx b", "cot", "dot"} <= set(texts)
    assert "gremlin" in spec.said[0] and "dot" in spec.said[1]


def test_what_is_read_is_not_named_and_what_is_not_is() -> None:
    assert list_prompt_notes(replace(SPEC, prompt="[a:b:0.5] [c|d] BREAK e", negative="x BREAK y")) == ()
    [note] = list_prompt_notes(replace(SPEC, prompt="[a|b:0.5] AND c"))
    assert "“[a|b:0.5]”" in note and "“AND”" in note and "BREAK" not in note


SIGNS = st.text(st.sampled_from("[]():|\\ab0.5 "), max_size=80)


@given(SIGNS | st.text(max_size=60), st.integers(1, 30), st.integers(0, 3))
def test_any_prompt_is_planned_or_refused(prompt: str, steps: int, more: int) -> None:
    try:
        plan = plan_wordings(Wording(prompt, "x"), [Pass(64, 64, steps + more, steps)], 3)
    except InvalidRequestError:
        return
    assert all(len(each.prompt) <= len(prompt) and each.negative == "x" for walk in plan for each in walk)
    assert not plan or [len(walk) for walk in plan] == [steps + more]


@pytest.mark.parametrize("prompt", ["[" * 1500, "(" * 700 + "[a|b]" + ")" * 700, "[a:" * 375 + "0.5" + "]" * 375])
def test_a_wall_of_brackets_is_read_or_refused(prompt: str) -> None:
    with suppress(PromptEditsTooDeepError):
        plan_wordings(Wording(prompt, ""), WALK, 3)
