"""The engine gives the same pixels as the stock diffusers pipelines at batch one: same seed, same settings.

Both run in float32, where the difference measured is at most one of 255 levels, and none for most pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.engine import Engine
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.requests.samplers import SAMPLERS
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_mask, a_picture, a_spec, a_start, an_order, as_array, paint
from tests.generation.engine.toy import save_toy, toy_model

MAX_LEVELS_APART = 1


@pytest.fixture(scope="module")
def stock(toy_folder: Path) -> Iterator[StableDiffusionPipeline]:
    yield load_stock(toy_folder)


def load_stock(folder: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stock_picture(stock: StableDiffusionPipeline, spec: ImageSpec) -> np.ndarray:
    config = dict(stock.scheduler.config)
    kind: type[DiffusionPipeline] = StableDiffusionPipeline
    options: dict[str, Any] = {"width": spec.width_px, "height": spec.height_px}
    if spec.start is not None:
        kind = StableDiffusionImg2ImgPipeline
        options = {"image": picture_of(a_picture()), "strength": spec.start.strength}
        if spec.start.mask_sha256 is not None:
            kind = StableDiffusionInpaintPipeline
            options |= {"mask_image": picture_of(a_mask()), "width": spec.width_px, "height": spec.height_px}
    if spec.sampler == "TCD":
        options["eta"] = 0.3  # what TCD's authors and its class mean; the pipelines say 0 for every scheduler
    if spec.rescale:
        options["guidance_rescale"] = spec.rescale
    parts = stock.components | {"scheduler": build_scheduler(spec.sampler, config)}
    pipeline = kind(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


def picture_of(png: bytes) -> PillowImage.Image:
    pixels, size_px = decode_png(png)
    return PillowImage.frombytes("RGB", size_px, pixels)


def levels_apart(engine: Engine, stock: StableDiffusionPipeline, spec: ImageSpec) -> int:
    return int(np.abs(as_array(paint(engine, an_order(spec))) - stock_picture(stock, spec)).max())


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("start", [None, a_start(), a_start(mask=True)], ids=["text", "picture", "inpaint"])
def test_every_sampler_matches_the_stock_pipeline(
    engine: Engine, stock: StableDiffusionPipeline, sampler: str, start: Any
) -> None:
    assert levels_apart(engine, stock, a_spec(sampler=sampler, start=start, steps=5)) <= MAX_LEVELS_APART


@pytest.mark.parametrize("rescale", [0.7, 1.0])
def test_guidance_rescale_is_that_of_the_stock_pipeline(
    engine: Engine, stock: StableDiffusionPipeline, rescale: float
) -> None:
    spec = a_spec(rescale=rescale, guidance=9.0)
    assert levels_apart(engine, stock, spec) <= MAX_LEVELS_APART
    assert np.abs(stock_picture(stock, spec) - stock_picture(stock, a_spec(guidance=9.0))).max() > MAX_LEVELS_APART


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": 1.0},
        {"width_px": 96, "height_px": 64},
        {"start": a_start(strength=1.0)},
        {"start": a_start(strength=1.0, mask=True), "sampler": "Euler a"},
        {"prompt": "x" * 70, "negative": ""},
    ],
    ids=str,
)
def test_settings_match_the_stock_pipeline(
    engine: Engine, stock: StableDiffusionPipeline, changes: dict[str, Any]
) -> None:
    assert levels_apart(engine, stock, a_spec(**changes)) <= MAX_LEVELS_APART


def test_v_prediction_is_read_from_the_model(tmp_path: Path) -> None:
    folder = save_toy(tmp_path, prediction_type="v_prediction")
    engine = Engine([toy_model(folder)], EngineSettings(num_threads=1))
    spec = a_spec(sampler="Euler a")
    assert levels_apart(engine, load_stock(folder), spec) <= MAX_LEVELS_APART


def test_the_comparison_can_tell_pictures_apart(engine: Engine, stock: StableDiffusionPipeline) -> None:
    """The control: another seed gives a distant picture, so agreement within a level means something."""
    ours = as_array(paint(engine, an_order(a_spec(seed=6))))
    assert np.abs(ours - stock_picture(stock, a_spec(seed=5))).max() > 20 * MAX_LEVELS_APART


# Prompts that change from step to step, and chunks: what stock has no syntax for, done by hand.


def encode(stock: StableDiffusionPipeline, text: str) -> Tensor:
    embeddings: Tensor = stock.encode_prompt(text, "cpu", 1, do_classifier_free_guidance=False)[0]
    return embeddings


def stock_picture_by_step(stock: StableDiffusionPipeline, spec: ImageSpec, words: list[tuple[str, str]]) -> np.ndarray:
    """Return the stock pipeline's picture where each step has its own prompt and negative prompt."""
    rows = [(encode(stock, prompt), encode(stock, negative)) for prompt, negative in words]
    pipeline = StableDiffusionPipeline(
        **stock.components | {"scheduler": build_scheduler(spec.sampler, dict(stock.scheduler.config))},
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)

    def turn(_: Any, step: int, _time: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        prompt, negative = rows[min(step + 1, len(rows) - 1)]
        return tensors | {"prompt_embeds": torch.cat([negative, prompt])}

    output = pipeline(
        prompt_embeds=rows[0][0],
        negative_prompt_embeds=rows[0][1],
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        callback_on_step_end=turn,
        callback_on_step_end_tensor_inputs=["prompt_embeds"],
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M Karras"])
@pytest.mark.parametrize(
    ("prompt", "negative", "words"),
    [
        ("[a red cat:blue:0.5]", "dog", [("a red cat", "dog")] * 2 + [("blue", "dog")] * 2),
        ("a [cat|dog]", "[x::1]", [("a cat", "x"), ("a dog", ""), ("a cat", ""), ("a dog", "")]),
    ],
)
def test_a_prompt_that_changes_is_conditioned_step_by_step(
    engine: Engine,
    stock: StableDiffusionPipeline,
    sampler: str,
    prompt: str,
    negative: str,
    words: list[tuple[str, str]],
) -> None:
    spec = a_spec(prompt=prompt, negative=negative, sampler=sampler, guidance=30.0, syntax=3)
    ours = as_array(paint(engine, an_order(spec)))
    apart = np.abs(ours - stock_picture_by_step(stock, spec, words))
    assert apart.max() <= MAX_LEVELS_APART
    for others in ([words[0]] * 4, words[::-1], [*words[1:], words[-1]]):
        other = np.abs(ours - stock_picture_by_step(stock, spec, others))
        assert other.mean() > 5 * apart.mean(), "which words are in which step counts"


def test_break_begins_a_chunk(engine: Engine, stock: StableDiffusionPipeline) -> None:
    spec = a_spec(prompt="a red cat BREAK blue", negative="dog", syntax=3)
    ours = as_array(paint(engine, an_order(spec)))
    output = stock(
        prompt_embeds=torch.cat([encode(stock, "a red cat"), encode(stock, "blue")], dim=1),
        negative_prompt_embeds=torch.cat([encode(stock, "dog"), encode(stock, "")], dim=1),
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    assert np.abs(ours - (output.images[0] * 255).round().astype(int)).max() <= MAX_LEVELS_APART
