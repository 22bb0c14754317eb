"""FLUX.2 klein beside its stock pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinPipeline

from generation.engine.engine import Engine
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, paint
from tests.generation.engine.toy_flow import save_toy_klein, toy_flow_model

LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_klein(tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "klein")], EngineSettings(num_threads=1, packs_weights=False))


@pytest.fixture(scope="module")
def stock(folder: Path) -> Flux2KleinPipeline:
    pipeline = Flux2KleinPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def klein_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler", "negative": ""} | changes)


def stock_picture(stock: Flux2KleinPipeline, spec: ImageSpec) -> np.ndarray:
    negative, _ = stock.encode_prompt(prompt=spec.negative)
    output = stock(
        prompt=spec.prompt,
        negative_prompt_embeds=negative,
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 1.0},
        {"prompt": LONG, "negative": "blurry"},
        {"width_px": 96, "steps": 3},
        {"prompt": "x" * 700},
    ],
    ids=str,
)
def test_klein_matches_the_stock_pipeline(engine: Engine, stock: Flux2KleinPipeline, changes: dict[str, Any]) -> None:
    spec = klein_spec(**changes)
    assert np.abs(as_array(paint(engine, an_order(spec))) - stock_picture(stock, spec)).max() <= 1


def test_with_a_step_cache_it_is_the_stock_pipeline_without_the_blocks_behind_the_first(
    engine: Engine, stock: Flux2KleinPipeline
) -> None:
    """By hand: in every second step, what they added in the step before is added again. Each step calls it twice."""
    first, last = stock.transformer.transformer_blocks[0], stock.transformer.single_transformer_blocks[-1]
    seen, kept = list[torch.Tensor](), dict[int, torch.Tensor]()

    def change(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        step, row = divmod(len(seen) - 1, 2)
        num_words = output.shape[1] - seen[-1].shape[1]
        if step % 2 == 0:
            kept[row] = output[:, num_words:] - seen[-1]
            return output
        return torch.cat([output[:, :num_words], seen[-1] + kept[row]], dim=1)

    hooks = [
        first.register_forward_hook(lambda _, __, output: seen.append(output[1])),
        last.register_forward_hook(change),
    ]
    spec = klein_spec(steps=5)
    by_hand = stock_picture(stock, spec)
    for hook in hooks:
        hook.remove()
    assert np.abs(as_array(paint(engine, an_order(replace(spec, cache=2)))) - by_hand).max() <= 1
    assert np.abs(as_array(paint(engine, an_order(spec))) - by_hand).max() > 1, "it is lossy"


def test_a_start_picture_is_encoded_as_a_reference_of_the_stock_pipeline_is(
    engine: Engine, stock: Flux2KleinPipeline
) -> None:
    family = engine._models.get("toy").family
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        ours = family.encode(pixels, torch.Generator())
        assert torch.equal(ours, stock._encode_vae_image(pixels, generator=None))
        again = family.encode(family.decode(ours).clamp(-1, 1), torch.Generator())
    assert ours.shape == again.shape == (1, 128, 4, 4)


def test_a_little_strength_changes_little(engine: Engine) -> None:
    """The stock pipelines have no image-to-image for klein; ours mixes noise in as for every flow model."""
    start = as_array(paint(engine, an_order(klein_spec(start=a_start(strength=0.25)))))
    much = as_array(paint(engine, an_order(klein_spec(start=a_start(strength=1.0)))))
    words = as_array(paint(engine, an_order(klein_spec())))
    assert np.abs(start - words).mean() > np.abs(much - words).mean()
    assert np.array_equal(much, words), "at strength 1 nothing of the picture is left"
