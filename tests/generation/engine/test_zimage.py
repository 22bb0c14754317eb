"""Z-Image beside its stock pipelines, and exact in a batch like any family."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
)
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.families.zimage import Captions
from generation.engine.samplers import build_flow_scheduler
from generation.images.codec import decode_png
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
from tests.generation.engine.toy_flow import save_toy_zimage, toy_flow_model

LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_zimage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "zimage")], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path) -> ZImagePipeline:
    return ZImagePipeline.from_pretrained(folder)


def z_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler"} | changes)


def stock_picture(stock: ZImagePipeline, spec: ImageSpec) -> np.ndarray:
    generator = torch.Generator().manual_seed(spec.seed)
    scheduler = build_flow_scheduler(spec.sampler, stock.scheduler.config)
    scheduler.step = partial(scheduler.step, generator=generator)  # the stock pipelines forget it, and draw at random
    parts = stock.components | {"scheduler": scheduler}
    options: dict[str, Any] = {"width": spec.width_px, "height": spec.height_px}
    cls: Any = ZImagePipeline
    if spec.start is not None:
        pixels, size_px = decode_png(a_picture())
        options |= {"image": PillowImage.frombytes("RGB", size_px, pixels), "strength": spec.start.strength}
        cls = ZImageImg2ImgPipeline
    if spec.start is not None and spec.start.mask_sha256:
        pixels, size_px = decode_png(a_mask())
        options["mask_image"] = PillowImage.frombytes("RGB", size_px, pixels)
        cls = ZImageInpaintPipeline
    pipeline = cls(**parts)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance - 1 if spec.is_guided else 0,
        generator=generator,
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 1.0},
        {"prompt": LONG, "negative": ""},
        {"width_px": 96},
        {"sampler": "Euler a"},
        {"sampler": "LCM", "guidance": 1.0},
        {"prompt": "x" * 700},
        {"start": a_start(strength=0.5)},
        {"start": a_start(strength=0.75), "guidance": 1.0, "sampler": "Euler a"},
        {"start": a_start(strength=0.5, mask=True)},
    ],
    ids=str,
)
def test_zimage_matches_the_stock_pipeline(engine: Engine, stock: ZImagePipeline, changes: dict[str, Any]) -> None:
    """The longest of these prompts is cut. Strengths are those of a whole number of steps: the stock pipelines of flow
    models round the number of steps up, ours rounds it down for every family."""
    spec = z_spec(**changes)
    ours = as_array(paint(engine, an_order(spec)))
    expected = stock_picture(stock, spec)
    assert np.abs(ours - expected).max() <= 1


def test_only_captions_of_one_padded_length_share_a_forward(engine: Engine) -> None:
    """With other lengths in a forward the network masks their padding, and all its rows get other bits."""

    def key(**changes: Any) -> Any:
        words: Captions = engine._models.get("toy").family.tokenize(z_spec(**changes))
        return words.key

    assert key(guidance=1.0) == key(guidance=1.0, prompt="a blue dog") == (32,)
    assert key(guidance=1.0, prompt=LONG) == (96,)
    assert key(prompt=LONG, negative="") == (32, 96) != key(prompt="a", negative="")
    orders = [an_order(z_spec(prompt=each, guidance=1.0), image_id=f"{len(each)}-0") for each in ("a", LONG)]
    together = ends(run(engine, *orders))
    for order in orders:
        end = together[order.image_id]
        assert isinstance(end, Finished)
        assert trace_of(end) == "1x4", "neither was in the other's company"


def test_rows_without_an_image_bring_no_mask(folder: Path) -> None:
    """A forward of four rows with one image has three that were never filled. They are of the others' padded length."""
    engine = Engine([toy_flow_model(folder, "zimage")], EngineSettings(num_threads=1))
    seen: list[set[int]] = []

    def look(_network: Any, args: tuple[Any, ...]) -> None:
        seen.append({len(caption) + -len(caption) % 32 for caption in args[2]})

    handle = engine._models.get("toy").family.denoiser.register_forward_pre_hook(look)
    paint(engine, an_order(z_spec(prompt=LONG, guidance=1.0), replay="4x4"))
    handle.remove()
    assert seen == [{96}] * 4


def test_the_tokens_are_those_of_the_chat_template(engine: Engine, stock: ZImagePipeline) -> None:
    turn = [{"role": "user", "content": LONG}]
    text = stock.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
    words: Captions = engine._models.get("toy").family.tokenize(z_spec(prompt=LONG))
    assert words.read[-1].ids == tuple(stock.tokenizer(text).input_ids)
