"""The request of a comparison: its layout is checked, its storage stays as it was for all other requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.column_types import read_stored, write_json
from generation.errors import InvalidRequestError
from generation.jobs.derive import reroll
from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.requests.comparison import MAX_CELLS, Axis, Comparison, require_layout
from generation.requests.edits import StartImage
from generation.requests.errors import ComparisonError
from generation.requests.spec import GenerationRequest, ImageSpec

SPEC = ImageSpec(
    prompt="a fox", model="toy", width_px=128, height_px=128, steps=4, guidance=4.0, sampler="Euler", seed=7
)
CELLS = tuple(replace(SPEC, seed=7 + number) for number in range(3))
ONE_ROW = Comparison(columns=Axis.SEED, num_columns=3)


def job_of(request: GenerationRequest) -> Job:
    images = tuple(
        Image(job_id="j" * 22, index=index, spec=spec, reserved=1) for index, spec in enumerate(request.images())
    )
    return Job(id="j" * 22, owner=Owner(1, 2), request=request, created_at=datetime.now(UTC), images=images)


def test_other_requests_are_stored_as_before() -> None:
    assert "comparison" not in write_json(GenerationRequest(spec=SPEC)) and "cells" not in write_json(
        GenerationRequest(spec=SPEC)
    )


def test_it_is_read_back_whole() -> None:
    request = GenerationRequest(spec=SPEC, count=3, comparison=ONE_ROW, cells=CELLS)
    assert read_stored(write_json(request), GenerationRequest) == request
    assert list(request.images()) == list(request.specs) == list(CELLS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 2},
        {"cells": CELLS[::-1]},
        {"comparison": Comparison(columns=Axis.SEED, num_columns=2)},
        {"comparison": Comparison(columns=Axis.SEED, num_columns=3, rows=Axis.SEED)},
        {"comparison": Comparison(columns=Axis.SEED, num_columns=3, rows=Axis.STEPS)},
        {"cells": (CELLS[0], *(replace(cell, start=StartImage(sha256="ab" * 32, strength=0.5)) for cell in CELLS[1:]))},
    ],
)
def test_a_layout_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    right = {"spec": SPEC, "count": 3, "comparison": ONE_ROW, "cells": CELLS}
    with pytest.raises(ComparisonError):
        GenerationRequest(**{**right, **wrong})  # type: ignore[arg-type]


def test_half_of_one_is_refused() -> None:
    for half in ({"comparison": ONE_ROW}, {"cells": CELLS}):
        with pytest.raises(InvalidRequestError):
            GenerationRequest(spec=SPEC, count=3, **half)  # type: ignore[arg-type]


@given(st.integers(-2, 200), st.integers(-2, 20), st.sampled_from((None, Axis.STEPS)))
def test_rows_are_full(number: int, across: int, rows: Axis | None) -> None:
    try:
        layout = Comparison(columns=Axis.SEED, num_columns=across, rows=rows)
        require_layout(layout, range(max(0, number)), first=0, count=number)
    except ComparisonError:
        return
    assert 2 <= number <= MAX_CELLS and number % across == 0
    assert (number == across) is (rows is None)


def test_a_reroll_keeps_the_distances_of_seeds() -> None:
    again = reroll(job_of(GenerationRequest(spec=SPEC, count=3, comparison=ONE_ROW, cells=CELLS)), seed=2**32 - 1)
    assert [spec.seed for spec in again.images()] == [2**32 - 1, 0, 1]
    assert again.comparison == ONE_ROW


def test_one_picture_of_it_is_a_request_of_its_own() -> None:
    job = job_of(GenerationRequest(spec=SPEC, count=3, comparison=ONE_ROW, cells=CELLS))
    assert job.only(1).request == GenerationRequest(spec=CELLS[1])
    assert [image.index for image in job.only(1).images] == [1]
