"""Chroma and Stable Diffusion 3.5 beside their stock pipelines, and a few of their pictures in company."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from diffusers import (
    ChromaImg2ImgPipeline,
    ChromaPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_mask, a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.test_flow_families import some_orders
from tests.generation.engine.test_flux import open_png, stock_picture
from tests.generation.engine.toy_flow import save_toy_chroma, save_toy_sd3, toy_flow_model

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Toy(NamedTuple):
    save: Callable[[Path], Path]
    words: Any
    start: Any


TOYS = {
    "chroma": Toy(save_toy_chroma, ChromaPipeline, ChromaImg2ImgPipeline),
    "sd3": Toy(save_toy_sd3, StableDiffusion3Pipeline, StableDiffusion3Img2ImgPipeline),
}


@pytest.fixture(scope="module", params=TOYS)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TOYS[family].save(tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def engine(folder: Path, family: str) -> Engine:
    return Engine([toy_flow_model(folder, family)], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path, family: str) -> Any:
    pipeline = TOYS[family].words.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize(
    "changes",
    [{"negative": "dog"}, {"guidance": 1.0, "prompt": "x" * 600}, {"width_px": 96, "steps": 3}],
    ids=str,
)
def test_words_match_the_stock_pipeline(engine: Engine, stock: Any, changes: dict[str, Any]) -> None:
    spec = a_spec(**{"sampler": "Euler", "negative": ""} | changes)
    assert np.abs(as_array(paint(engine, an_order(spec))) - stock_picture(stock, spec)).max() <= 1


def test_a_start_picture_matches_the_stock_pipeline(engine: Engine, stock: Any, family: str) -> None:
    spec = a_spec(sampler="Euler", start=a_start(strength=0.5))
    theirs = stock_picture(TOYS[family].start.from_pipe(stock), spec, image=open_png(a_picture()), strength=0.5)
    assert np.abs(as_array(paint(engine, an_order(spec))) - theirs).max() <= 1


@pytest.mark.parametrize("family", ["sd3"], indirect=True)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_mask_matches_the_latents_of_the_stock_pipeline(engine: Engine, stock: Any, strength: float) -> None:
    """Its inpainting decodes without the shift of the VAE that its other pipelines add: here it is added."""
    inpaint = StableDiffusion3InpaintPipeline.from_pipe(stock)
    spec = a_spec(sampler="Euler", negative="", start=a_start(strength=strength, mask=True))
    shift, decode = stock.vae.config.shift_factor, stock.vae.decode
    masked = {"image": open_png(a_picture()), "mask_image": open_png(a_mask()), "strength": strength}
    with mock.patch.object(stock.vae, "decode", lambda latents, **more: decode(latents + shift, **more)):
        theirs = stock_picture(inpaint, spec, **masked)
    assert np.abs(as_array(paint(engine, an_order(spec))) - theirs).max() <= 1


def test_replayed_alone_a_picture_of_a_crowd_has_the_same_bytes(engine: Engine, family: str) -> None:
    orders = some_orders(random.Random(family), 4, family)
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec
