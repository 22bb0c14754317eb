"""FLUX.1 beside its stock pipelines."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline, FluxPipeline
from PIL import Image

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import (
    a_mask,
    a_picture,
    a_spec,
    a_start,
    an_order,
    as_array,
    ends,
    paint,
    run,
    trace_of,
)
from tests.generation.engine.toy_flow import save_toy_flux, toy_flow_model

LONG = "a harbour in the fog, evening light over the water, and a small red boat"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "flux")], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path) -> FluxPipeline:
    pipeline = FluxPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def flux_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler", "negative": "", "true_cfg": 1.0} | changes)


def stock_picture(stock: Any, spec: ImageSpec, **more: Any) -> np.ndarray:
    output = stock(
        prompt=spec.prompt,
        negative_prompt=spec.negative or None,
        **({"true_cfg_scale": spec.cfg_scale} if type(stock).__name__.startswith("Flux") else {}),
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **more,
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 1.5},
        {"prompt": LONG, "negative": "blurry", "true_cfg": 2.0},
        {"width_px": 96, "steps": 3},
        {"prompt": "x" * 700},
    ],
    ids=str,
)
def test_dev_matches_the_stock_pipeline(engine: Engine, stock: FluxPipeline, changes: dict[str, Any]) -> None:
    spec = flux_spec(**changes)
    assert np.abs(as_array(paint(engine, an_order(spec))) - stock_picture(stock, spec)).max() <= 1


def test_schnell_matches_the_stock_pipeline_at_its_own_length_of_text(tmp_path: Path) -> None:
    folder = save_toy_flux(tmp_path, is_schnell=True)
    engine = Engine([toy_flow_model(folder, "flux")], EngineSettings(num_threads=1))
    stock = FluxPipeline.from_pretrained(folder)
    for changes in ({"guidance": 1.0}, {"guidance": 3.0, "negative": "dog"}, {"guidance": 1.0, "prompt": "x" * 300}):
        spec = a_spec(**{"sampler": "Euler", "negative": ""} | changes)
        theirs = stock_picture(stock, spec, max_sequence_length=256)
        assert np.abs(as_array(paint(engine, an_order(spec))) - theirs).max() <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_start_picture_matches_the_stock_pipeline(engine: Engine, stock: FluxPipeline, strength: float) -> None:
    spec = flux_spec(start=a_start(strength=strength))
    theirs = stock_picture(FluxImg2ImgPipeline.from_pipe(stock), spec, image=open_png(a_picture()), strength=strength)
    assert np.abs(as_array(paint(engine, an_order(spec))) - theirs).max() <= 1


def test_a_mask_keeps_what_the_stock_pipeline_keeps(engine: Engine, stock: FluxPipeline) -> None:
    spec = flux_spec(start=a_start(strength=0.5, mask=True))
    pictures = {"image": open_png(a_picture()), "mask_image": open_png(a_mask())}
    theirs = stock_picture(FluxInpaintPipeline.from_pipe(stock), spec, **pictures, strength=0.5)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - theirs).max() <= 1


def test_guidance_is_a_number_of_each_row(engine: Engine) -> None:
    """Pictures of other guidance, with a second row or without, share forwards; alone they are the same."""
    orders = [
        an_order(flux_spec(guidance=guidance, true_cfg=cfg, negative="dog"), image_id=f"{number}-0")
        for number, (guidance, cfg) in enumerate([(1.5, 1.0), (6.0, 1.0), (6.0, 2.0)])
    ]
    crowded = ends(run(engine, *orders))
    pictures = set()
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished) and trace_of(end).startswith("4x"), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels
        pictures.add(end.pixels)
    assert len(pictures) == 3


def open_png(png: bytes) -> Image.Image:
    return Image.open(BytesIO(png)).convert("RGB")
