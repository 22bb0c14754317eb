"""Steps of several samplers at once: the bits of diffusers' objects, at any mixture of samplers and steps."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from generation.engine import samplers
from generation.engine.engine import Engine
from generation.engine.fused_steps import find_table, step_together
from generation.engine.samplers import FlowSampling, Sampling, build_scheduler
from generation.engine.work_item import WorkItem
from generation.jobs.protocol import Finished, ImageFailed
from generation.requests.samplers import list_samplers
from generation.requests.spec import ImageSpec
from tests.generation.engine.painting import a_spec, a_start, an_order, ends, run
from tests.generation.engine.toy import make_scheduler

FUSED = {"Euler", "Euler SGM Uniform", "DDIM", "DDIM SGM Uniform"}
FLOW: Mapping[str, Any] = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no card"))]


def a_sampling(generator: random.Random, kind: str) -> Sampling:
    """Return a sampler at the start of a walk of some length, maybe of a picture that starts from another."""
    steps, strength = generator.randint(1, 12), generator.choice([1.0, 0.6])
    if kind == "flow":
        spec = a_spec(steps=steps, sampler=generator.choice(list_samplers(is_flow=True)), seed=generator.randrange(99))
        return FlowSampling(spec, FLOW, mu=1.0, plans_sigmas=generator.random() < 0.5, strength=strength)
    spec = a_spec(
        steps=max(steps, 2), sampler=generator.choice(list_samplers(is_flow=False)), seed=generator.randrange(99)
    )
    return Sampling(spec, dict(make_scheduler(kind).config), strength=strength)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "flow"])
def test_steps_taken_together_are_those_of_the_objects(kind: str, dtype: torch.dtype, device: str) -> None:
    """Two walks of each image, one by its object. Some rows of every forward are not its turn, as in a batch."""
    num_fused = 0
    for seed in range(12):
        generator = random.Random(seed)
        choices = [generator.randrange(2**32) for _ in range(6)]
        ours, theirs = ([a_sampling(random.Random(each), kind) for each in choices] for _ in range(2))
        mine = [each.draw((1, 4, 8, 6)).to(device) for each in ours]
        other = [each.draw((1, 4, 8, 6)).to(device) for each in theirs]
        mine[0], other[0] = (each.to(memory_format=torch.channels_last) for each in (mine[0], other[0]))
        done = [0] * len(choices)
        while turn := [n for n in range(len(choices)) if done[n] < len(ours[n].times) and generator.random() < 0.8]:
            predictions = [_predict(ours[each], mine[each], done[each], dtype) for each in turn]
            for number, shown in zip(turn, predictions, strict=True):
                assert torch.equal(_predict(theirs[number], other[number], done[number], dtype), shown)
            stepped = step_together(
                [ours[each] for each in turn], predictions, [done[each] for each in turn], [mine[each] for each in turn]
            )
            for number, prediction, pair in zip(turn, predictions, stepped, strict=True):
                num_fused += pair is not None
                wanted = theirs[number].step(prediction, done[number], other[number])
                moved = ours[number].step(prediction, done[number], mine[number]) if pair is None else pair
                for one, another in zip(moved, wanted, strict=True):
                    assert torch.equal(one, another) and one.stride() == another.stride()
                    assert one.dtype == another.dtype == torch.float32
                mine[number], other[number] = moved[0], wanted[0]
                done[number] += 1
    assert num_fused > 50


def _predict(sampling: Sampling, latents: Tensor, index: int, dtype: torch.dtype) -> Tensor:
    """Return a prediction as a network in that format might make it of the sampler's input."""
    return torch.sin(3 * sampling.scale_input(latents, index)).to(dtype).float()


def test_samplers_with_memory_or_noise_keep_to_their_objects() -> None:
    config = dict(make_scheduler().config)
    made = {name: build_scheduler(name, config) for name in list_samplers(is_flow=False)}
    for scheduler in made.values():
        scheduler.set_timesteps(4)
    assert {name for name, each in made.items() if find_table(each) is not None} == FUSED
    clipping = build_scheduler("DDIM", config | {"clip_sample": True})
    clipping.set_timesteps(4)
    assert find_table(clipping) is None


def test_pictures_are_those_of_the_objects(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together in an engine; one of them fails where the steps are taken, and alone."""
    varied: list[dict[str, Any]] = [
        {"sampler": "Euler"},
        {"sampler": "DDIM", "start": a_start(mask=True)},
        {"sampler": "Euler", "guidance": 1.0},
        {"sampler": "Euler a"},
    ]
    orders = [an_order(a_spec(seed=each, **changes), image_id=f"a-{each}") for each, changes in enumerate(varied)]
    family, taken = engine._models.get("toy").family, list[int]()
    guide, take_steps = family.guide, WorkItem.take_steps

    def count(item: WorkItem, predictions: Any) -> None:
        take_steps(item, predictions)
        taken.append(sum(slot.walk is not None and slot.walk.stepped is not None for slot in item.slots))

    def fail(prediction: Tensor, spec: ImageSpec) -> Tensor:
        if spec.seed == 2:
            raise ValueError("this one alone")
        return guide(prediction, spec)

    monkeypatch.setattr(WorkItem, "take_steps", count)
    together = ends(run(engine, *orders))
    assert max(taken) > 1
    with monkeypatch.context() as patched:
        patched.setattr(samplers, "find_table", lambda scheduler: None)
        by_objects = ends(run(engine, *orders))
    monkeypatch.setattr(family, "guide", fail)
    with_one_that_fails = ends(run(engine, *orders))
    for number, order in enumerate(orders):
        first, second, third = (each[order.image_id] for each in (together, by_objects, with_one_that_fails))
        assert isinstance(first, Finished) and isinstance(second, Finished)
        assert first.pixels == second.pixels
        assert isinstance(third, ImageFailed if number == 2 else Finished)
