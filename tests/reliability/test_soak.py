"""The figures and curves of `soak`. The soak itself takes an hour, and is not run here."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.reliability.plot import Curve, draw
from tests.reliability.soak import _growth, _is_well

WELL = {"memory_growth": 0.01, "files_growth": 0.0, "tasks_growth": -0.2, "lag_p99_ms": 12.0, "rude": 0}


@pytest.mark.parametrize(
    ("values", "growth"),
    [
        ([50.0] * 20 + [100.0] * 80, 0.0),  # warm-up does not count
        ([100.0 + n for n in range(100)], 0.4633),
        ([100.0] * 60 + [300.0] + [100.0] * 39, 0.0),  # nor does a single peak
    ],
)
def test_growth_is_the_last_fifth_against_the_second(values: list[float], growth: float) -> None:
    assert _growth(values) == pytest.approx(growth, abs=0.001)


@pytest.mark.parametrize(
    "worse", [{"memory_growth": 0.06}, {"files_growth": 0.1}, {"tasks_growth": 1.0}, {"lag_p99_ms": 50.0}, {"rude": 1}]
)
def test_any_one_of_them_fails_the_run(worse: dict[str, object]) -> None:
    assert _is_well(dict(WELL))
    assert not _is_well(WELL | worse)


def test_the_picture_is_well_formed_and_has_every_curve() -> None:
    picture = ElementTree.fromstring(draw([Curve("a < b", [(0, 1), (1, 3)]), Curve("flat", [(0, 0), (2, 0)])]))
    names = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in names and "flat" in names
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
