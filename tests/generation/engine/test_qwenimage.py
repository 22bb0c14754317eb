"""Qwen-Image beside its stock pipelines, and sharing forwards by the padded length of its prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import QwenImageImg2ImgPipeline, QwenImageInpaintPipeline, QwenImagePipeline
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.families.masked_text import MaskedWords
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
)
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_qwen import save_toy_qwenimage

LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_qwenimage(tmp_path_factory.mktemp("qwenimage"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "qwenimage")], EngineSettings(num_threads=1, packs_weights=False))


@pytest.fixture(scope="module")
def stock(folder: Path) -> QwenImagePipeline:
    return QwenImagePipeline.from_pretrained(folder)


def qwen_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler"} | changes)


def stock_picture(stock: QwenImagePipeline, spec: ImageSpec) -> np.ndarray:
    options: dict[str, Any] = {"width": spec.width_px, "height": spec.height_px}
    cls = QwenImagePipeline
    if spec.start is not None:
        cls = QwenImageImg2ImgPipeline if spec.start.mask_sha256 is None else QwenImageInpaintPipeline
        options |= {"image": _open(a_picture()), "strength": spec.start.strength}
        if spec.start.mask_sha256 is not None:
            options["mask_image"] = _open(a_mask())
    pipeline = cls(**stock.components)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        true_cfg_scale=spec.guidance,
        num_inference_steps=spec.steps,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


def _open(png: bytes) -> PillowImage.Image:
    pixels, size_px = decode_png(png)
    return PillowImage.frombytes("RGB", size_px, pixels)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 1.0},
        {"prompt": LONG, "negative": "blurry"},
        {"prompt": LONG, "width_px": 96},
        {"prompt": "x" * 700, "steps": 2},
        {"steps": 4, "start": a_start(strength=0.5)},
        {"steps": 4, "start": a_start(strength=0.5, mask=True)},
    ],
    ids=str,
)
def test_qwenimage_matches_the_stock_pipeline(
    engine: Engine, stock: QwenImagePipeline, changes: dict[str, Any]
) -> None:
    """To one of 255 levels. The longest of these prompts is cut."""
    spec = qwen_spec(**changes)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, spec)).max() <= 1
    other = as_array(paint(engine, an_order(qwen_spec(**changes | {"prompt": "another"}))))
    assert np.abs(ours - other).max() > 1, "the control: other words are another picture"


def test_only_prompts_of_one_padded_length_share_a_forward(engine: Engine) -> None:
    """The length of the text is a shape of the forward, so it is part of the key."""

    def key(**changes: Any) -> int:
        words: MaskedWords = engine._models.get("toy").family.tokenize(qwen_spec(**changes))
        return words.key

    short = key(guidance=1.0, prompt="a")
    assert key(guidance=1.0, prompt="a blue dog") == short and short % 64 == 0
    assert key(guidance=1.0, prompt=LONG) == key(prompt="a", negative=LONG) == short + 64
    orders = [an_order(qwen_spec(prompt=each, guidance=1.0), image_id=f"{len(each)}-0") for each in ("a", "ab", LONG)]
    together = ends(run(engine, *orders))
    traces = [end.trace for order in orders if isinstance(end := together[order.image_id], Finished)]
    assert traces == ["2x4", "2x4", "1x4"]


def test_padding_is_not_seen(engine: Engine) -> None:
    """What a row is padded with changes nothing: rows that no image has filled hold zeros or what others left."""
    family = engine._models.get("toy").family
    spec = qwen_spec(prompt="a", guidance=1.0)
    with torch.inference_mode():
        given = dict(family.condition(spec, family.tokenize(spec)))
        latents, times = torch.randn(1, 16, 8, 8), torch.tensor([500.0])
        before = family.denoise(latents, times, given)
        text, mask = given["encoder_hidden_states"], given["encoder_hidden_states_mask"]
        assert not bool(mask.all()) and mask.dtype is torch.bool
        given["encoder_hidden_states"] = torch.where(mask[..., None], text, torch.full_like(text, 3.0))
        assert torch.allclose(family.denoise(latents, times, given), before, atol=1e-6)


def test_the_tokens_are_those_of_the_stock_template(engine: Engine, stock: QwenImagePipeline) -> None:
    words: MaskedWords = engine._models.get("toy").family.tokenize(qwen_spec(prompt=LONG))
    assert words.read[-1].ids == tuple(stock.tokenizer(stock.prompt_template_encode.format(LONG)).input_ids)
    before = stock.tokenizer(stock.prompt_template_encode.partition("{}")[0]).input_ids
    assert words.unseen == stock.prompt_template_encode_start_idx == len(before)
    turns = [{"role": "system", "content": stock.prompt_template_encode.split("\n")[1].removesuffix("<|im_end|>")}]
    turns.append({"role": "user", "content": LONG})
    chat = stock.tokenizer.apply_chat_template(turns, tokenize=True, add_generation_prompt=True)["input_ids"]
    assert words.read[-1].ids == tuple(chat)


def test_one_step_is_enough(engine: Engine) -> None:
    """The stock schedule divides nothing by nothing there, and its picture is black."""
    assert as_array(paint(engine, an_order(qwen_spec(steps=1)))).std() > 1


def test_only_the_half_that_reads_is_loaded(engine: Engine) -> None:
    encoder = engine._models.get("toy").family.text_encoders["text_encoder"]
    assert not any("visual" in name or "lm_head" in name for name, _ in encoder.named_parameters())


def test_a_picture_is_encoded_and_decoded_by_the_statistics_of_each_channel(
    engine: Engine, stock: QwenImagePipeline
) -> None:
    family = engine._models.get("toy").family
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pipeline = QwenImageImg2ImgPipeline(**stock.components)
    with torch.inference_mode():
        ours = family.encode(pixels, torch.Generator().manual_seed(1))
        theirs = pipeline._encode_vae_image(pixels[:, :, None], torch.Generator().manual_seed(1))
        assert ours.shape == (1, 16, 8, 8)
        assert torch.equal(ours, theirs[:, :, 0])
