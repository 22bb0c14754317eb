"""Regions of a prompt in the engine: whose words a place follows, in every family, and the same bytes again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from generation.engine.engine import Engine
from generation.engine.region_weights import blend_regions, weigh_regions
from generation.engine.slot import Slot
from generation.jobs.protocol import Finished, GenerateCommand
from generation.requests.edits import Hires
from generation.requests.prompt_weights import SYNTAX
from generation.requests.recipe import Forward
from generation.requests.regions import AREAS, list_owners
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, ends, paint, run, trace_of
from tests.generation.engine.test_flow_families import TOYS
from tests.generation.engine.toy import save_toy_xl, toy_model
from tests.generation.engine.toy_flow import toy_flow_model

MakeEngine = Callable[..., Engine]
SHORT = ("klein", "zimage", "qwenimage")
FAMILIES = [pytest.param(each, marks=[pytest.mark.long] * (each not in SHORT)) for each in (*TOYS, "sdxl")]
LEFT, RIGHT, CENTER = "<region:left:a red boat>", "<region:right:a blue tower>", "<region:center:a swan>"


def with_regions(prompt: str, **changes: object) -> ImageSpec:
    return a_spec(prompt=prompt, syntax=SYNTAX, **changes)


# Weights.


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (64, 64), (96, 40), (13, 7)])
def test_the_weights_of_a_place_add_up_to_one(size: tuple[int, int]) -> None:
    for names in (("left",), ("left", "right"), ("left", "right", "center"), ("top-third", "center")):
        areas = tuple(AREAS[name] for name in names)
        weights = weigh_regions(areas, *size)
        assert weights.shape == (len(list_owners(areas) | {*range(1, len(areas) + 1)}), *size)
        assert torch.allclose(weights.sum(0), torch.ones(size), atol=1e-6)


def test_edges_are_soft_for_an_eighth_of_a_side_and_hard_where_there_are_few_cells() -> None:
    left, _ = weigh_regions((AREAS["left"], AREAS["right"]), 64, 64)
    assert (left[:, :28] == 1).all() and (left[:, 36:] == 0).all() and (left[:, 28:36] > 0).all()
    assert left[0, 31] > 0.5 > left[0, 32] and torch.allclose(left, 1 - left.flip(1))
    hard, _ = weigh_regions((AREAS["left"], AREAS["right"]), 8, 8)
    assert set(hard.unique().tolist()) == {0, 1}


def test_one_prediction_alone_counts_inside_of_a_region_and_the_negative_row_is_not_touched() -> None:
    rows = torch.randn(4, 3, 64, 64)
    blended = blend_regions(rows, (AREAS["left"], AREAS["center"]))
    assert blended.shape == (2, 3, 64, 64) and torch.equal(blended[0], rows[0])
    assert torch.equal(blended[1, :, :, :10], rows[2, :, :, :10]), "left"
    assert torch.equal(blended[1, :, :, -10:], rows[1, :, :, -10:]), "what is left open"
    assert torch.equal(blended[1, :, 24:40, 24:40], rows[3, :, 24:40, 24:40]), "the last is on top"
    assert torch.equal(blend_regions(rows, ()), rows)
    assert blend_regions(rows[:2], (AREAS["left"], AREAS["right"])).shape == (1, 3, 64, 64)


# Pictures.


def take_a_step(engine: Engine, spec: ImageSpec, model: str = "toy") -> torch.Tensor:
    """Return the latents after one forward of that image alone, in a bucket of 8 rows."""
    slot = Slot(an_order(spec), engine._models.get(model).family, 1)
    with torch.inference_mode():
        slot.begin(torch.device("cpu"))
        [lane] = engine._lanes._free[:1]
        [(prediction, _)] = lane.predict([slot], 8, 0)
        slot.advance(prediction, Forward(8))
    assert slot.walk is not None
    return slot.walk.latents.clone()


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_each_part_follows_its_own_words(engine: Engine, guidance: float) -> None:
    made = {"guidance": guidance, "steps": 1, "width_px": 128}
    both = take_a_step(engine, with_regions(f"a harbour {LEFT}", **made))
    left = take_a_step(engine, a_spec(prompt="a harbour, a red boat", **made))
    rest = take_a_step(engine, a_spec(prompt="a harbour", **made))
    middle, edge = both.shape[-1] // 2, both.shape[-1] // 16
    assert not torch.equal(left, rest)
    assert torch.equal(both[..., : middle - edge], left[..., : middle - edge])
    assert torch.equal(both[..., middle + edge :], rest[..., middle + edge :])
    whole = take_a_step(engine, with_regions(f"a harbour {LEFT} {RIGHT}", **made))
    right = take_a_step(engine, a_spec(prompt="a harbour, a blue tower", **made))
    assert torch.equal(whole[..., : middle - edge], left[..., : middle - edge])
    assert torch.equal(whole[..., middle + edge :], right[..., middle + edge :])


def test_what_is_painted_there_shows_in_the_picture(engine: Engine) -> None:
    made = {"steps": 1, "width_px": 128, "guidance": 7.5}
    both = as_array(paint(engine, an_order(with_regions(f"a harbour {LEFT}", **made))))
    left = as_array(paint(engine, an_order(a_spec(prompt="a harbour, a red boat", **made))))
    rest = as_array(paint(engine, an_order(a_spec(prompt="a harbour", **made))))

    def differ(one: np.ndarray, other: np.ndarray, columns: slice) -> float:
        return float(np.abs(one[:, columns] - other[:, columns]).mean())

    west, east = slice(0, 40), slice(88, 128)
    assert differ(both, left, west) < 0.5 * differ(rest, left, west)
    assert differ(both, rest, east) < 0.5 * differ(rest, left, east)


def some_orders(rng: random.Random, number: int, **more: object) -> list[GenerateCommand]:
    prompts = ["a red cat", f"x {LEFT}", f"{LEFT}{RIGHT}", f"x {LEFT} {RIGHT} {CENTER}", f"x {CENTER} [<b|c]"]
    prompts.append("a [b:c:0.5] <region:top-third:[d|e] f>")
    return [
        an_order(
            with_regions(
                rng.choice(prompts),
                **{"steps": rng.randint(2, 4), "guidance": rng.choice([1.0, 3.0]), "seed": rng.randrange(2**32)} | more,
                start=start,
                hires=Hires(factor=1.5) if start is None and rng.random() < 0.3 else None,
            ),
            image_id=f"{index}-0",
        )
        for index in range(number)
        for start in [rng.choice([None, None, a_start(strength=0.6), a_start(mask=True)])]
    ]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_among_others_and_alone_it_has_the_same_bytes(make_engine: MakeEngine, dtype: str) -> None:
    engine = make_engine(dtype=dtype)
    orders = some_orders(random.Random(3), 10)
    together = ends(run(engine, *orders))
    shared = 0
    for order in orders:
        first = together[order.image_id]
        assert isinstance(first, Finished), first
        again = paint(engine, msgspec.structs.replace(order, replay=first.trace))
        assert (again.pixels, again.trace) == (first.pixels, first.trace), order.spec.prompt
        shared += first.trace != paint(engine, order).trace
    assert shared, "some shared a forward"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_them(family: str, tmp_path: Path) -> None:
    if family == "sdxl":
        model, sampler = toy_model(save_toy_xl(tmp_path), family="sdxl"), "DDIM"
    else:
        model, sampler = toy_flow_model(TOYS[family](tmp_path), family), "Euler"
    engine = Engine([model], EngineSettings(num_threads=1))
    made = {"model": model.name, "sampler": sampler, "steps": 2, "width_px": 128}
    for guidance in (1.0, 4.0):
        order = an_order(with_regions(f"a harbour {LEFT} {CENTER}", **made, guidance=guidance))
        plain = an_order(a_spec(prompt="a harbour", **made, guidance=guidance), image_id="b-0")
        together = ends(run(engine, order, plain))
        first, other = together["a-0"], together["b-0"]
        assert isinstance(first, Finished) and isinstance(other, Finished), (first, other)
        assert first.pixels != other.pixels
    step = {**made, "steps": 1, "guidance": 4.0}
    both, left = (
        take_a_step(engine, with_regions(prompt, **step), model.name)
        for prompt in (f"a harbour {LEFT} {RIGHT}", "a harbour, a red boat")
    )
    rest = take_a_step(engine, with_regions("a harbour", **step), model.name)
    quarter = both.shape[-1] // 4
    assert not torch.allclose(rest[..., :quarter], left[..., :quarter], atol=1e-4)
    assert torch.allclose(both[..., :quarter], left[..., :quarter], atol=1e-4)
    engine.close()


def test_others_have_the_rows_that_it_leaves_empty(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=2)
    orders = [
        an_order(with_regions(f"x {LEFT} {RIGHT} {CENTER}", guidance=3.0, steps=3), image_id="regions-0"),
        *(an_order(with_regions("a red cat", guidance=1.0, steps=3), image_id=f"{n}-0") for n in range(4)),
    ]
    together = ends(run(engine, *orders))
    traces = {name: trace_of(end) for name, end in together.items()}
    assert traces["regions-0"] == "4x3", "covered by its regions: three rows and that of the negative prompt"
    five = an_order(with_regions(f"x {LEFT} {CENTER} <region:top-third:a>", guidance=3.0, steps=3), image_id="five-0")
    together = ends(run(engine, five, *orders[1:]))
    traces = {name: trace_of(end) for name, end in together.items()}
    assert traces["five-0"] == "8x3" and sum("8" in each for each in traces.values()) >= 3, traces


def test_what_does_not_fit_is_told_of_the_rest_and_of_regions(make_engine: MakeEngine) -> None:
    engine, long = make_engine(), "x " * 240
    for prompt in (f"{long} {LEFT}", f"a <region:left:{long}>"):
        spec = replace(with_regions("a"), prompt=prompt)
        assert paint(engine, an_order(spec)).dropped
    assert not paint(engine, an_order(with_regions(f"a {LEFT}", negative=long))).dropped
