"""A sampler takes as many evaluations as its spec says: price, progress and replay depend on that."""

from __future__ import annotations

from typing import Any

import pytest
from diffusers import EulerAncestralDiscreteScheduler, EulerDiscreteScheduler

from generation.engine.engine import Engine
from generation.engine.samplers import Sampling
from generation.requests.edits import Hires
from generation.requests.samplers import SAMPLERS
from tests.generation.engine.painting import a_spec, a_start, an_order, paint


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_spec_counts_the_evaluations_that_its_sampler_takes(engine: Engine, sampler: str) -> None:
    family: Any = engine._models.get("toy").family
    for steps in (1, 2, 3, 7, 50):
        for strength in (0.01, 0.3, 0.6, 1.0):
            spec = a_spec(sampler=sampler, steps=steps, start=a_start(strength=strength))
            assert len(Sampling(spec, family.scheduler_config, strength=strength).times) == spec.num_evaluations, spec


@pytest.mark.parametrize("hires", [None, Hires(factor=1.5, strength=0.4)])
def test_a_single_step_of_plms_is_one_evaluation_and_can_be_replayed(engine: Engine, hires: Hires | None) -> None:
    spec = a_spec(sampler="PLMS", steps=1, hires=hires)
    first = paint(engine, an_order(spec))
    assert first.evaluations == spec.num_evaluations
    assert paint(engine, an_order(spec, replay=first.trace)).pixels == first.pixels


@pytest.mark.parametrize(
    ("name", "stock"),
    [("Euler SGM Uniform", EulerDiscreteScheduler), ("Euler a SGM Uniform", EulerAncestralDiscreteScheduler)],
)
@pytest.mark.parametrize("spacing", ["leading", "linspace"])
@pytest.mark.parametrize(("steps", "times"), [(1, [999]), (2, [999, 499]), (4, [999, 749, 499, 249]), (8, None)])
def test_a_few_steps_begin_at_the_last_timestep(
    name: str, stock: Any, spacing: str, steps: int, times: list[int] | None
) -> None:
    """Distilled models know these timesteps alone: “leading” begins at 751, or, with one step, at 1."""
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    config |= {"timestep_spacing": spacing}
    sampling = Sampling(a_spec(sampler=name, steps=steps), config)
    reference = stock.from_config(config, timestep_spacing="trailing")
    reference.set_timesteps(steps)
    assert sampling.times == reference.timesteps.tolist() == (times or sampling.times)
    assert sampling.scheduler.sigmas.tolist() == reference.sigmas.tolist()
