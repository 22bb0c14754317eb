"""What is found in a picture without a network: lines where they are, the same numbers for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from generation.images.preprocessors import _MADE, preprocess
from generation.requests.control import PREPROCESSORS

SIDE = 64


def a_square() -> np.ndarray:
    picture = np.full((SIDE, SIDE, 3), 230, np.uint8)
    picture[16:48, 16:48] = (20, 60, 90)
    return picture


def noise() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (SIDE, SIDE + 9, 3), np.uint8)


def test_every_version_that_a_recipe_can_name_is_made() -> None:
    assert set(_MADE) == {(name, each) for name, last in PREPROCESSORS.items() for each in range(1, last + 1)}


@pytest.mark.parametrize("name", PREPROCESSORS)
@pytest.mark.parametrize("size", [(SIDE, SIDE), (64, 200), (8, 8)])
def test_a_map_is_as_large_as_its_picture(name: str, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    made = preprocess(picture, name, 1)
    assert made.shape == picture.shape and made.dtype == np.uint8


def test_canny_draws_one_thin_closed_line_around_a_square() -> None:
    edges = preprocess(a_square(), "canny", 1)[..., 0]
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges)
    assert {rows.min(), columns.min()} <= {14, 15, 16} and {rows.max(), columns.max()} <= {46, 47, 48}
    assert not edges[20:44, 20:44].any()
    assert all((line > 0).sum() == 2 for line in edges[20:44])
    assert all((line > 0).sum() == 2 for line in edges.T[20:44])


def test_a_weak_edge_is_kept_only_where_it_touches_a_strong_one() -> None:
    faint = np.full((SIDE, SIDE, 3), 100, np.uint8)
    faint[:, 32:] = 200
    assert preprocess(faint, "canny", 1).any()
    faint[:, 32:] = 150  # between the thresholds
    assert not preprocess(faint, "canny", 1).any()
    joined = faint.copy()
    joined[:20, 32:] = 200
    below = preprocess(joined, "canny", 1)[30:, :, 0]
    assert below.any(axis=1).all()


def test_red_on_a_blue_of_the_same_brightness_is_an_edge() -> None:
    picture = np.full((SIDE, SIDE, 3), (30, 30, 255), np.uint8)
    picture[:, 32:] = (116, 30, 30)
    assert preprocess(picture, "canny", 1)[..., 0].any(axis=1).all()


def test_an_even_picture_has_no_lines() -> None:
    even = np.full((SIDE, SIDE, 3), 77, np.uint8)
    assert not any(preprocess(even, name, 1).any() for name in ("canny", "lineart", "softedge"))


def test_lineart_is_white_where_a_dark_stroke_is() -> None:
    drawn = np.full((SIDE, SIDE, 3), 250, np.uint8)
    drawn[31:33] = 10
    lines = preprocess(drawn, "lineart", 1)[..., 0]
    assert lines[31:33].min() > 100 and not lines[:16].any()


def test_softedge_rises_towards_the_edge() -> None:
    slopes = preprocess(a_square(), "softedge", 1)[32, :, 0].astype(int)
    assert slopes[16] > slopes[13] > slopes[4] == 0


def test_invert_turns_black_lines_into_white_ones() -> None:
    assert np.array_equal(preprocess(a_square(), "invert", 1), 255 - a_square())


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("canny", "0adb72e1e1150398"),
        ("lineart", "fc15f76e17aba025"),
        ("softedge", "d9c6e55ff1cb4fb0"),
    ],
)
def test_a_version_never_changes_what_it_makes(name: str, digest: str) -> None:
    """Old recipes name it: another map is another picture. Add a version instead."""
    assert hashlib.sha256(preprocess(noise(), name, 1).tobytes()).hexdigest()[:16] == digest
