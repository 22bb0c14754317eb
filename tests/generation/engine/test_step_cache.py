"""The step cache: a fixed pattern, rows of their own, exact on replay, and what DeepCache says it is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import UNSET

from generation.engine.engine import Engine
from generation.engine.families.base import Conditioning
from generation.engine.step_cache import caching, find_deep, run_shallow, watch
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_exact import crowd, some_orders
from tests.generation.engine.test_stock import MAX_LEVELS_APART, load_stock
from tests.generation.engine.toy import save_toy_xl, toy_model


@pytest.fixture
def denoised(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each forward was shallow, in order."""
    family: Any = engine._models.get("toy").family
    seen: list[bool] = []
    real = type(family).denoise

    def denoise(self: Any, latents: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        seen.append(find_deep() is not None)
        return real(self, latents, timesteps, conditioning)

    monkeypatch.setattr(type(family), "denoise", denoise)
    return seen


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_a_shallow_forward_on_the_same_inputs_is_the_whole_one(toy_folder: Path, tmp_path: Path, kind: str) -> None:
    from diffusers import UNet2DConditionModel

    folder = toy_folder if kind == "sd" else save_toy_xl(tmp_path)
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    watch(unet)
    rows, width = 3, unet.config.cross_attention_dim
    sample, states, times = torch.randn(rows, 4, 8, 8), torch.randn(rows, 77, width), torch.tensor([9.0, 500.0, 999.0])
    added: dict[str, Any] = {}
    if kind == "xl":
        pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
        added["added_cond_kwargs"] = {"text_embeds": torch.randn(rows, pooled), "time_ids": torch.randn(rows, 6)}
    with torch.inference_mode():
        with caching(None, keeps=True) as kept:
            whole = unet(sample, times, encoder_hidden_states=states, return_dict=False, **added)[0]
        assert len(kept) == 1
        with caching(kept[0], keeps=False) as again:
            assert torch.equal(run_shallow(unet, sample, times, states, kept[0], {}, **added), whole)
        assert not again, "a shallow one keeps nothing"
        other = run_shallow(unet, sample + 1, times, states, kept[0], {}, **added)
        assert not torch.equal(other, whole), "the control: the outer layers see the latents"


def test_one_of_so_many_evaluations_is_whole(engine: Engine, denoised: list[bool]) -> None:
    paint(engine, an_order(a_spec(steps=7, cache=3)))
    assert denoised == [False, True, True, False, True, True, False]
    denoised.clear()
    paint(engine, an_order(a_spec(steps=4)))
    assert denoised == [False] * 4, "never unless it is asked for"
    denoised.clear()
    paint(engine, an_order(a_spec(steps=4, cache=4, prompt="[a cat:blue:0.5]", syntax=3)))
    assert denoised == [False, True, False, True], "the first after its words changed is whole"


def test_it_is_that_of_the_paper(engine: Engine, toy_folder: Path) -> None:
    """By hand: a stock pipeline whose UNet runs its outer layers alone in every second step."""
    stock: Any = load_stock(toy_folder)
    whole, kept, calls = stock.unet.forward, list[torch.Tensor](), list[int]()
    stock.unet.up_blocks[-1].register_forward_pre_hook(
        lambda module, args, kwargs: kept.append(kwargs["hidden_states"]), with_kwargs=True
    )

    def forward(sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor, **rest: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] % 2 == 0:
            return whole(sample, timestep, encoder_hidden_states=encoder_hidden_states, **rest)
        deep = kept[-1]
        inner = lambda module, args, kwargs: (args, kwargs | {"hidden_states": deep})  # noqa: E731
        hook = stock.unet.up_blocks[-1].register_forward_pre_hook(inner, with_kwargs=True)
        result = whole(sample, timestep, encoder_hidden_states=encoder_hidden_states, **rest)
        hook.remove()
        return result

    stock.unet.forward = forward
    spec = a_spec(steps=6)
    output = stock(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        width=spec.width_px,
        height=spec.height_px,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    by_hand = (output.images[0] * 255).round().astype(int)
    ours = as_array(paint(engine, an_order(replace(spec, cache=2))))
    assert np.abs(ours - by_hand).max() <= MAX_LEVELS_APART
    assert np.abs(as_array(paint(engine, an_order(spec))) - by_hand).max() > MAX_LEVELS_APART, "it is lossy"


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_replayed_alone_every_picture_of_a_crowd_has_the_same_bytes(
    toy_folder: Path, tmp_path: Path, family: str
) -> None:
    folder = toy_folder if family == "sd" else save_toy_xl(tmp_path)
    engine, rng = Engine([toy_model(folder, family=family)], EngineSettings(num_threads=1)), random.Random(4)
    tiers: list[Any] = [UNSET, 2, 2, 3]
    orders = [
        an_order(replace(each.spec, cache=rng.choice(tiers)), image_id=each.image_id, share=each.share)
        for each in some_orders(rng, 8)
    ]
    crowded = crowd(engine, orders, rng)
    differing = 0
    for order in orders:
        alone = paint(engine, an_order(order.spec, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels, order.spec
        differing += paint(engine, an_order(replace(order.spec, cache=UNSET))).pixels != alone.pixels
    assert differing > 2, "the control: without its tier most are other pictures"
