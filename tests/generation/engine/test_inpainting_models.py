"""Inpainting models, whose UNets take nine channels: they paint as the stock inpaint pipelines, and replay exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.requests.edits import Hires
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_mask, a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import SIDE_PX, TOY, save_toy, save_toy_xl, toy_model

MAX_LEVELS_APART = 1
NINE = replace(TOY, in_channels=9)


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Any]]:
    """An engine with an inpainting model, and the stock pipeline of the same folder."""
    root, family = tmp_path_factory.mktemp("nine"), request.param
    folder = save_toy(root, sizes=NINE) if family == "sd" else save_toy_xl(root, sizes=NINE)
    engine = Engine([toy_model(folder, family=family)], EngineSettings(num_threads=1))
    yield engine, load_stock(folder, family)
    engine.close()


def load_stock(folder: Path, family: str) -> Any:
    kind: Any = StableDiffusionInpaintPipeline if family == "sd" else StableDiffusionXLInpaintPipeline
    options = {"safety_checker": None} if family == "sd" else {"add_watermarker": False}
    pipeline = kind.from_pretrained(folder, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stock_picture(stock: Any, spec: ImageSpec, mask: PillowImage.Image) -> np.ndarray:
    stock.scheduler = build_scheduler(spec.sampler, dict(stock.scheduler.config))
    output = stock(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        image=open_png(a_picture()),
        mask_image=mask,
        width=spec.width_px,
        height=spec.height_px,
        strength=spec.start.strength if spec.start is not None else 1.0,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    return (output.images[0] * 255).round().astype(int)


def open_png(png: bytes) -> PillowImage.Image:
    pixels, size_px = decode_png(png)
    return PillowImage.frombytes("RGB", size_px, pixels)


def white() -> PillowImage.Image:
    return PillowImage.new("RGB", (SIDE_PX, SIDE_PX), "white")


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("sampler", ["DDIM", "Euler a"])
def test_inpainting_is_that_of_the_stock_pipeline(models: tuple[Engine, Any], sampler: str, strength: float) -> None:
    engine, stock = models
    spec = a_spec(start=a_start(strength=strength, mask=True), sampler=sampler)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, spec, open_png(a_mask()))).max() <= MAX_LEVELS_APART


def test_a_picture_from_words_is_an_inpaint_of_everything(models: tuple[Engine, Any]) -> None:
    engine, stock = models
    ours = as_array(paint(engine, an_order(a_spec())))
    assert np.abs(ours - stock_picture(stock, a_spec(), white())).max() <= MAX_LEVELS_APART


def test_a_start_picture_without_a_mask_is_repainted_all_over(models: tuple[Engine, Any]) -> None:
    engine, stock = models
    spec = a_spec(start=a_start(strength=0.6))
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, spec, white())).max() <= MAX_LEVELS_APART


def test_what_stays_is_seen_by_the_model(models: tuple[Engine, Any]) -> None:
    """The control: another picture around the mask is another result, at full strength too."""
    engine, _ = models
    spec = a_spec(start=a_start(strength=1.0, mask=True))
    one = as_array(paint(engine, an_order(spec)))
    other = as_array(paint(engine, an_order(spec, start_png=a_picture(seed=1))))
    assert np.abs(one - other)[: SIDE_PX // 2].max() > MAX_LEVELS_APART


def test_pictures_of_a_crowd_replay_byte_for_byte(models: tuple[Engine, Any]) -> None:
    engine, _ = models
    specs = [
        a_spec(seed=1),
        a_spec(seed=2, start=a_start(strength=1.0, mask=True)),
        a_spec(seed=3, start=a_start(strength=0.6), guidance=1.0),
        a_spec(seed=4, hires=Hires(factor=1.5, strength=0.5)),
    ]
    painted = ends(run(engine, *(an_order(spec, image_id=f"{index}-0") for index, spec in enumerate(specs))))
    for index, spec in enumerate(specs):
        first: Any = painted[f"{index}-0"]
        assert paint(engine, an_order(spec, replay=first.trace)).pixels == first.pixels
