"""The simulation of sharing among models of unequal cost: that it keeps the bound, and that its peer does not."""

from __future__ import annotations

from typing import Any

import pytest

from bench._crowd import CHARGES
from bench._loading import measure_loads
from bench.fairness import MAX_LIGHT, Trial
from generation.models.families import FAMILIES


@pytest.mark.parametrize("name", ["staying", "staying_weighted", "swapping"])
def test_three_families_at_once_keep_the_bound(name: str) -> None:
    figures: Any = Trial(8, 20_000, 1).families()[name]
    assert 0 < figures["gap"] <= figures["bound"]
    assert figures["jain"] > 0.99
    assert figures["fifo_gap"] > 10 * figures["gap"], "the peer parts without end"


def test_several_workers_keep_the_bound_of_one() -> None:
    by_number = Trial(8, 400, 1).by_members([2])
    for figures in by_number.values():
        assert 0 < figures["charged_gap"] <= figures["charged_bound"] < figures["fifo_charged_gap"]
        assert figures["gap"] <= figures["bound"]
        assert figures["light_ratio"] <= MAX_LIGHT < figures["fifo_light_ratio"]


def test_the_charges_are_those_of_the_price_list() -> None:
    guided_at_512 = 2 * FAMILIES["sd"].work.of(512, 512)
    assert CHARGES["sd"] == 1
    assert CHARGES["sdxl"] == pytest.approx(2 * FAMILIES["sdxl"].work.of(1024, 1024) / guided_at_512, abs=0.05)
    assert CHARGES["zimage"] == pytest.approx(FAMILIES["zimage"].work.of(1024, 1024) / guided_at_512, abs=0.05)


def test_loads_stay_within_the_bound_and_are_paid_by_who_alternates() -> None:
    figures: Any = measure_loads(8, 3000, 1)
    one = figures["loading_one_alternates"]
    for each in figures.values():
        assert 0 < each["charged_gap"] <= each["charged_bound"]
    assert one["loads_paid"]["1"] > 0
    assert not {"2", "3"} & one["loads_paid"].keys()
