"""A sampler takes as many evaluations as its spec says: price, progress and replay depend on that."""

from __future__ import annotations

import pytest

from generation.engine.engine import Engine
from generation.engine.samplers import Sampling
from generation.requests.edits import Hires
from generation.requests.samplers import SAMPLERS
from tests.generation.engine.painting import a_spec, a_start, an_order, paint


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_spec_counts_the_evaluations_that_its_sampler_takes(engine: Engine, sampler: str) -> None:
    config = engine._models.get("toy").family.scheduler_config
    for steps in (1, 2, 3, 7, 50):
        for strength in (0.01, 0.3, 0.6, 1.0):
            spec = a_spec(sampler=sampler, steps=steps, start=a_start(strength=strength))
            assert len(Sampling(spec, config, strength=strength).times) == spec.num_evaluations, spec


@pytest.mark.parametrize("hires", [None, Hires(factor=1.5, strength=0.4)])
def test_a_single_step_of_plms_is_one_evaluation_and_can_be_replayed(engine: Engine, hires: Hires | None) -> None:
    spec = a_spec(sampler="PLMS", steps=1, hires=hires)
    first = paint(engine, an_order(spec))
    assert first.evaluations == spec.num_evaluations
    assert paint(engine, an_order(spec, replay=first.trace)).pixels == first.pixels
