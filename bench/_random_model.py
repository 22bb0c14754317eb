"""Models with random weights: of real shape and size, or toys; they need no download."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.generation.engine.toy import NUM_LETTER_WORDS, make_scheduler, make_tokenizer, save_toy, save_toy_xl
from tests.generation.engine.toy_ernie import save_toy_ernie
from tests.generation.engine.toy_flow import (
    save_toy_chroma,
    save_toy_flux,
    save_toy_klein,
    save_toy_kontext,
    save_toy_sd3,
    save_toy_zimage,
)
from tests.generation.engine.toy_qwen import (
    save_toy_krea2,
    save_toy_qwenedit,
    save_toy_qwenedit_plus,
    save_toy_qwenimage,
)

_BLOCKS = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
_TOYS: dict[str, Callable[..., Path]] = {
    "sd": save_toy,
    "sdxl": save_toy_xl,
    "zimage": save_toy_zimage,
    "klein": save_toy_klein,
    "qwenimage": save_toy_qwenimage,
    "qwenedit": save_toy_qwenedit,
    "qweneditplus": save_toy_qwenedit_plus,
    "krea2": partial(save_toy_krea2, layers=(1, 2, 3)),  # twelve layers of words would take two thirds of a step
    "ernie": save_toy_ernie,
    "flux": save_toy_flux,
    "kontext": save_toy_kontext,
    "chroma": save_toy_chroma,
    "sd3": save_toy_sd3,
}


def save_toy_of(family: str, folder: Path) -> Path:
    """Write a toy of that family under `folder`, the same that the tests paint with, and return where."""
    return _TOYS[family](folder)


def save_random_model(shape: str, folder: Path) -> Path:
    """Write a model shaped as `sd15` or `sdxl` in bfloat16, or the `toy` of `sd`, under `folder`, and return where."""
    if shape == "toy":
        return save_toy_of("sd", folder)
    torch.manual_seed(0)
    parts: dict[str, Any] = {"vae": AutoencoderKL(**_BLOCKS), "scheduler": make_scheduler()}
    parts |= {"sd15": _sd15, "sdxl": _sdxl}[shape](folder)
    if shape != "sdxl":
        off = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline: Any = StableDiffusionPipeline(**parts, **off)
    else:
        pipeline = StableDiffusionXLPipeline(**parts, add_watermarker=False)
    pipeline.to(torch.bfloat16).save_pretrained(folder / shape, safe_serialization=True)
    return folder / shape


def _sd15(folder: Path) -> dict[str, Any]:
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    return {
        "unet": unet,
        "text_encoder": CLIPTextModel(_text(768, 12, 12)),
        "tokenizer": make_tokenizer(folder / "words"),
    }


def _sdxl(folder: Path) -> dict[str, Any]:
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return {
        "unet": unet,
        "text_encoder": CLIPTextModel(_text(768, 12, 12)),
        "text_encoder_2": CLIPTextModelWithProjection(_text(1280, 32, 20)),
        "tokenizer": make_tokenizer(folder / "words"),
        "tokenizer_2": make_tokenizer(folder / "more words"),
    }


def _text(width: int, layers: int, heads: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=NUM_LETTER_WORDS,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        bos_token_id=NUM_LETTER_WORDS - 2,
        eos_token_id=NUM_LETTER_WORDS - 1,
        pad_token_id=NUM_LETTER_WORDS - 1,
    )
