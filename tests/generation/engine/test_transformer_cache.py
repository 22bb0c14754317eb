"""The step cache of transformers: the same pattern, around the first block of every family that has one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec import UNSET
from torch.utils.flop_counter import FlopCounterMode

from generation.engine.engine import Engine
from generation.engine.offload import PartOffloader
from generation.engine.step_cache import caching
from generation.jobs.protocol import GenerateCommand
from generation.models.catalog import Model
from generation.models.families import FAMILIES
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import an_order, paint
from tests.generation.engine.test_editing import SQUARE, WIDE, an_edit
from tests.generation.engine.test_exact import crowd
from tests.generation.engine.test_flow_families import TOYS, flow_spec, some_orders
from tests.generation.engine.toy_flow import save_toy_kontext, toy_flow_model
from tests.generation.engine.toy_qwen import save_toy_qwenedit, save_toy_qwenedit_plus

_TOYS: dict[str, Callable[[Path], Path]] = {
    **TOYS,
    "kontext": save_toy_kontext,
    "qwenedit": save_toy_qwenedit,
    "qweneditplus": partial(save_toy_qwenedit_plus, zero_cond=True),
}
_SHORT = {"klein", "zimage"}
"""Those that are not left for the long form: text in a stream of its own at first, and behind the picture."""


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=[pytest.mark.long] * (each not in _SHORT)) for each in _TOYS]
)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def model(family: str, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return toy_flow_model(_TOYS[family](tmp_path_factory.mktemp(family)), family)


@pytest.fixture(scope="module")
def engine(model: Model) -> Engine:
    return Engine([model], EngineSettings(num_threads=1))


def test_every_family_with_a_transformer_is_here() -> None:
    larger = {"klein9b", "sd3large"}  # by the same code
    assert set(_TOYS) == {name for name, info in FAMILIES.items() if info.is_flow} - larger


def test_a_shallow_forward_on_the_same_inputs_is_the_whole_one(
    engine: Engine, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding: what the other blocks added is added to what the first one gives."""
    denoise, inputs = _catch_inputs(engine, family, monkeypatch)
    latents, times, conditioning = inputs
    with torch.inference_mode():
        with caching(None, keeps=True) as kept, FlopCounterMode(display=False) as all_blocks:
            whole = denoise(latents, times, conditioning)
        assert torch.equal(denoise(latents, times, conditioning), whole)
        (deep,) = kept
        assert len(deep) == len(latents)
        with caching(deep, keeps=False), FlopCounterMode(display=False) as first_block:
            shallow = denoise(latents, times, conditioning)
        with caching(deep, keeps=False):
            moved = denoise(latents + 1, times, conditioning)
        with caching(torch.zeros_like(deep), keeps=False):
            bare = denoise(latents, times, conditioning)
    apart = ((shallow - whole).abs().max() / whole.abs().max()).item()
    assert apart < 2e-6, f"{family}: {apart:.1e} of the largest number"
    assert first_block.get_total_flops() < 0.9 * all_blocks.get_total_flops(), "other blocks were left out"
    for other in (moved, bare):
        assert not torch.allclose(other, whole, rtol=1e-3), "the control: first block and cache are both seen"


def test_replayed_alone_every_picture_of_a_crowd_has_the_same_bytes(engine: Engine, family: str) -> None:
    rng = random.Random(family)
    tiers: list[Any] = [UNSET, 2, 2, 3]
    orders = [_with_cache(order, rng.choice(tiers)) for order in _draw_orders(rng, family)]
    crowded = crowd(engine, orders, rng)
    differing = 0
    for order in orders:
        alone = paint(engine, msgspec.structs.replace(order, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels, order.spec
        differing += paint(engine, _with_cache(order, UNSET)).pixels != alone.pixels
    assert differing, "the control: without its tier some are other pictures, where rounding does not hide it"


def test_where_all_evaluations_are_whole_the_bytes_are_those_without_a_cache(engine: Engine) -> None:
    spec = flow_spec(prompt="[a red cat|blue]", syntax=3, steps=4)
    assert paint(engine, an_order(replace(spec, cache=3))).pixels == paint(engine, an_order(spec)).pixels
    spec = flow_spec(steps=4)
    assert paint(engine, an_order(replace(spec, cache=3))).pixels != paint(engine, an_order(spec)).pixels


@pytest.mark.long
def test_it_is_the_same_where_layers_are_fetched_one_by_one(engine: Engine, model: Model) -> None:
    order, streamed = an_order(flow_spec(cache=2)), Engine([model], EngineSettings(num_threads=1))
    PartOffloader(torch.device("cpu")).stream(streamed._models.get("toy").family.denoiser)
    assert paint(streamed, order).pixels == paint(engine, order).pixels


def _catch_inputs(engine: Engine, family: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return `denoise` of a family, and what a picture of two rows gave it; it sees a picture where that goes."""
    loaded: Any = engine._models.get("toy").family
    denoise, caught = loaded.denoise, list[Any]()

    def catch(*inputs: Any) -> Any:
        caught.append(inputs)
        return denoise(*inputs)

    with monkeypatch.context() as patched:
        patched.setattr(loaded, "denoise", catch)
        true_cfg = 2.0 if FAMILIES[family].defaults.embeds_guidance else UNSET
        seen = [WIDE] * bool(FAMILIES[family].max_references)
        paint(engine, an_edit(*seen, steps=1, guidance=4.0, true_cfg=true_cfg))
    latents, times, conditioning = caught[0]
    return denoise, (latents.clone(), times.clone(), {name: each.clone() for name, each in conditioning.items()})


def _draw_orders(rng: random.Random, family: str) -> list[GenerateCommand]:
    """Return pictures of every kind; of a family that edits, half of them edit one."""
    orders, edits = some_orders(rng, 6, family), FAMILIES[family].max_references
    for place in range(0, len(orders) * bool(edits), 2):
        spec = orders[place].spec
        usual: dict[str, Any] = {"prompt": spec.prompt, "steps": 4, "guidance": spec.guidance, "seed": spec.seed}
        size_px = rng.choice([SQUARE, WIDE])
        orders[place] = an_edit(size_px, image_id=f"6-{place}", syntax=3, true_cfg=spec.true_cfg, **usual)
    return orders


def _with_cache(order: GenerateCommand, cache: Any) -> GenerateCommand:
    return msgspec.structs.replace(order, spec=replace(order.spec, cache=cache))
