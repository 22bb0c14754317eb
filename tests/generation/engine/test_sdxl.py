"""Stable Diffusion XL beside its stock pipelines, and exact in a batch like any family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import save_toy_xl, toy_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_model(folder, family="sdxl")], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)


def stock_picture(stock: StableDiffusionXLPipeline, spec: ImageSpec) -> np.ndarray:
    parts = stock.components | {"scheduler": build_scheduler(spec.sampler, stock.scheduler.config)}
    if spec.start is None:
        pipeline = StableDiffusionXLPipeline(**parts, add_watermarker=False)
        options: dict[str, Any] = {"width": spec.width_px, "height": spec.height_px}
    else:
        pipeline = StableDiffusionXLImg2ImgPipeline(**parts, add_watermarker=False)
        pixels, size_px = decode_png(a_picture())
        options = {"image": PillowImage.frombytes("RGB", size_px, pixels), "strength": spec.start.strength}
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative or None,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "Euler a"},
        {"negative": ""},
        {"guidance": 1.0},
        {"width_px": 96},
        {"start": a_start(strength=0.6), "sampler": "DPM++ 2M Karras"},
    ],
    ids=str,
)
def test_sdxl_matches_the_stock_pipeline(
    engine: Engine, stock: StableDiffusionXLPipeline, changes: dict[str, Any]
) -> None:
    spec = a_spec(**changes)
    assert np.abs(as_array(paint(engine, an_order(spec))) - stock_picture(stock, spec)).max() <= 1


def test_pictures_of_a_crowd_are_exact(engine: Engine) -> None:
    orders = [an_order(a_spec(seed=seed, negative=("", "dog")[seed % 2]), image_id=f"a-{seed}") for seed in range(4)]
    for image_id, end in ends(run(engine, *orders)).items():
        assert isinstance(end, Finished)
        spec = next(order.spec for order in orders if order.image_id == image_id)
        assert paint(engine, an_order(spec, replay=end.trace)).pixels == end.pixels
