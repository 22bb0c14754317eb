"""Z-Image beside its stock pipelines, and exact in a batch like any family."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
)
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.families.zimage import Captions
from generation.engine.language_text import MAX_TOKENS
from generation.engine.samplers import build_flow_scheduler
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.requests.edits import Hires, Margins
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


def some_orders(rng: random.Random, number: int) -> list[GenerateCommand]:
    kinds = {
        "words": {},
        "start": {"start": a_start(strength=0.5)},
        "mask": {"start": a_start(mask=True)},
        "outpaint": {"start": a_start(strength=1.0, margins=Margins(left=16))},
        "hires": {"hires": Hires(factor=2.0)},
    }
    return [
        an_order(
            z_spec(
                prompt=rng.choice(["a red cat", "blue", LONG]),
                negative=rng.choice(["", "dog", LONG]),
                sampler=rng.choice(["Euler", "Euler a", "LCM"]),
                steps=rng.randint(2, 5),
                guidance=rng.choice([1.0, 4.0]),
                seed=rng.randrange(2**32),
                **rng.choice(list(kinds.values())),  # type: ignore[arg-type]
            ),
            image_id=f"{number}-{index}",
            num_previews=rng.choice([0, 2]),
        )
        for index in range(number)
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_replayed_alone_every_picture_of_a_crowd_has_the_same_bytes(folder: Path, dtype: str) -> None:
    engine = Engine([toy_flow_model(folder, "zimage")], EngineSettings(dtype=dtype, num_threads=1))
    orders = some_orders(random.Random(dtype), 8)
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec


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
        assert end.trace == "1x4", "neither was in the other's company"


def test_rows_that_nobody_owns_bring_no_mask(folder: Path) -> None:
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


def test_the_end_of_a_prompt_that_is_not_read_is_named(engine: Engine) -> None:
    words: Captions = engine._models.get("toy").family.tokenize(z_spec(prompt="a" * 600 + " end"))
    assert len(words.read[-1].ids) == MAX_TOKENS
    assert words.dropped.endswith("a end")
    assert 80 < len(words.dropped) < 120
    assert paint(engine, an_order(z_spec(prompt="a" * 600 + " end"))).dropped.endswith("end")


def test_a_sampler_of_other_models_ends_the_picture_alone(engine: Engine) -> None:
    said = ends(run(engine, an_order(z_spec(sampler="DDIM"), image_id="a-0"), an_order(z_spec(), image_id="b-0")))
    failed = said["a-0"]
    assert isinstance(failed, ImageFailed)
    assert "DDIM" in failed.message
    assert isinstance(said["b-0"], Finished)


def test_samplers_are_the_flow_classes() -> None:
    config = dict(FlowMatchEulerDiscreteScheduler(shift=3.0).config)
    assert isinstance(build_flow_scheduler("LCM", config), FlowMatchLCMScheduler)
    assert build_flow_scheduler("Euler a", config).config.stochastic_sampling
    assert build_flow_scheduler("Euler", config).config.shift == 3.0
