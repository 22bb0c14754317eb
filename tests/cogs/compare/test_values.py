"""What is typed into /compare: read, bounded, or refused with the value at fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.common.errors import (
    NotANumberError,
    NotAWholeNumberError,
    NothingToCompareError,
    RangeBackwardsError,
    TooManyAxesError,
    TooManyCellsError,
    ValueTwiceError,
)
from cogs.compare._cog import build_comparison
from cogs.compare._values import (
    complete_list,
    parse_numbers,
    parse_samplers,
    parse_wholes,
    split_bars,
    split_list,
)
from generation.admission.typed import Typed
from generation.errors import InvalidRequestError
from generation.models.catalog import Model
from generation.requests.comparison import MAX_CELLS, Axis
from generation.requests.defaults import Defaults
from generation.requests.errors import UnknownSamplerError
from generation.requests.spec import GenerationRequest

DEFAULTS = Defaults(steps=20, guidance=4.0, sampler="Euler", native_px=128)
MODEL = Model(name="toy", path=Path("m"), family="sd", licence="", defaults=DEFAULTS, sha256="ab" * 32)
BASE = Typed(prompt="a fox", model=MODEL, seed=7)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("a fox | a cat", ["a fox", "a cat"]),
        ("a fox\na cat", ["a fox", "a cat"]),
        ("a [fox | cat] in (snow | rain)", ["a [fox | cat] in (snow | rain)"]),
        ("a fox|a cat", ["a fox|a cat"]),
        (" | a fox | | ", ["a fox"]),
        ("]) a fox | a cat", ["]) a fox", "a cat"]),
        ("|", ["|"]),
    ],
)
def test_prompts_are_parted_by_bars(typed: str, parts: list[str]) -> None:
    assert split_bars(typed) == parts


@given(st.text(max_size=300))
def test_no_word_is_lost_in_parting(typed: str) -> None:
    kept = "".join(split_bars(typed)).replace("|", "").split()
    assert "".join(kept) == "".join(typed.replace("|", "").split())
    assert all(part and part == part.strip() for part in (*split_bars(typed), *split_list(typed)))


@pytest.mark.parametrize(
    ("typed", "numbers"), [("7", [7]), ("7, 9;11", [7, 9, 11]), ("7-9, 20", [7, 8, 9, 20]), ("0-8", list(range(9)))]
)
def test_whole_numbers_and_spans(typed: str, numbers: list[int]) -> None:
    assert parse_wholes(typed, name="Seed") == numbers


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("7, x", NotAWholeNumberError),
        ("1.5", NotAWholeNumberError),
        ("1_0", NotAWholeNumberError),
        ("٣", NotAWholeNumberError),
        ("9" * 100, NotAWholeNumberError),
        ("9-7", RangeBackwardsError),
        ("0-4294967295", TooManyCellsError),
        ("0-999999999999", TooManyCellsError),
        ("7, 7", ValueTwiceError),
        ("7-9, 8", ValueTwiceError),
    ],
)
def test_other_whole_numbers_are_refused(typed: str, wrong: type[InvalidRequestError]) -> None:
    with pytest.raises(wrong):
        parse_wholes(typed, name="Seed")


def test_numbers_have_a_point() -> None:
    assert parse_numbers("3, 5.5;7", name="Guidance") == [3.0, 5.5, 7.0]
    for typed, wrong in (("3, much", NotANumberError), ("3, 3.0", ValueTwiceError)):
        with pytest.raises(wrong):
            parse_numbers(typed, name="Guidance")


def test_samplers_are_known_in_any_case() -> None:
    assert parse_samplers("euler, DPM++ 2m karras, nope", name="Sampler") == ["Euler", "DPM++ 2M Karras", "nope"]


@given(st.text(max_size=500), st.sampled_from((parse_wholes, parse_numbers, parse_samplers)))
def test_whatever_is_typed_is_read_or_refused(typed: str, parse: object) -> None:
    try:
        values = parse(typed, name="Seed")  # type: ignore[operator]
    except InvalidRequestError as refused:
        assert len(str(refused)) < 200
    else:
        assert len(values) <= 500


def test_the_last_of_a_list_is_completed() -> None:
    known = ("Euler", "Euler a", "Heun")
    assert list(complete_list("", known)) == list(known)
    assert list(complete_list("Euler, h", known)) == ["Euler, Heun"]
    assert list(complete_list("Euler,", known)) == ["Euler, Euler a", "Euler, Heun"]
    assert list(complete_list("Euler, Heun, x", known)) == []


def compare(**values: list[object]) -> GenerationRequest:
    return build_comparison(BASE, {Axis(name): found for name, found in values.items()}, {})


def test_the_cells_lie_row_by_row() -> None:
    request = compare(guidance=[3.0, 5.0, 7.0], sampler=["Euler", "Heun"], steps=[4])
    layout = request.comparison
    assert layout and (layout.rows, layout.columns, layout.num_columns) == (Axis.SAMPLER, Axis.GUIDANCE, 3)
    cells = [(cell.sampler, cell.guidance, cell.steps, cell.seed) for cell in request.images()]
    assert cells == [(sampler, value, 4, 7) for sampler in ("Euler", "Heun") for value in (3.0, 5.0, 7.0)]


def test_a_model_brings_its_own_defaults() -> None:
    other = replace(MODEL, name="turbo", defaults=replace(DEFAULTS, steps=4, guidance=1.0))
    request = compare(model=[MODEL, other], seed=[1, 2])
    assert [(cell.model, cell.steps, cell.seed) for cell in request.images()] == [
        ("toy", 20, 1),
        ("toy", 20, 2),
        ("turbo", 4, 1),
        ("turbo", 4, 2),
    ]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, NothingToCompareError),
        ({"sampler": ["Euler"], "steps": [4]}, NothingToCompareError),
        ({"sampler": ["Euler", "Heun"], "steps": [4, 5], "seed": [1, 2]}, TooManyAxesError),
        ({"steps": list(range(1, 11))}, TooManyCellsError),
        ({"steps": [1, 2, 3, 4, 5], "seed": [1, 2]}, TooManyCellsError),
        ({"sampler": ["Euler", "nope"]}, UnknownSamplerError),
    ],
)
def test_what_is_no_comparison_is_refused(values: dict[str, list[object]], wrong: type[InvalidRequestError]) -> None:
    with pytest.raises(wrong):
        compare(**values)


def test_the_most_there_may_be() -> None:
    assert compare(seed=list(range(MAX_CELLS))).count == MAX_CELLS
