"""Models with random weights: of real shape and size, or tiny; they need no download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BLOCKS = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
_TINY_BLOCKS = {"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4}


def save_random_model(shape: str, folder: Path) -> Path:
    """Write a model shaped as `sd15`, `sdxl` or `tiny` under `folder` in bfloat16, and return where."""
    torch.manual_seed(0)
    vae = AutoencoderKL(**(_BLOCKS | _TINY_BLOCKS if shape == "tiny" else _BLOCKS))
    parts: dict[str, Any] = {"vae": vae, "scheduler": _scheduler()}
    parts |= {"sd15": _sd15, "sdxl": _sdxl, "tiny": _tiny}[shape](folder)
    if shape != "sdxl":
        off = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline: Any = StableDiffusionPipeline(**parts, **off)
    else:
        pipeline = StableDiffusionXLPipeline(**parts, add_watermarker=False)
    pipeline.to(torch.bfloat16).save_pretrained(folder / shape, safe_serialization=True)
    return folder / shape


def _sd15(folder: Path) -> dict[str, Any]:
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    return {"unet": unet, "text_encoder": CLIPTextModel(_text(768, 12, 12)), "tokenizer": _tokenizer(folder / "words")}


def _tiny(folder: Path) -> dict[str, Any]:
    """Return a tiny shape, for what does not depend on size: an evaluation takes a millisecond or two."""
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=8,
        cross_attention_dim=16,
    )
    return {"unet": unet, "text_encoder": CLIPTextModel(_text(16, 2, 2)), "tokenizer": _tokenizer(folder / "words")}


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
        "tokenizer": _tokenizer(folder / "words"),
        "tokenizer_2": _tokenizer(folder / "more words"),
    }


def _text(width: int, layers: int, heads: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=2 * len(_LETTERS) + 2,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        bos_token_id=2 * len(_LETTERS),
        eos_token_id=2 * len(_LETTERS) + 1,
        pad_token_id=2 * len(_LETTERS) + 1,
    )


def _tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True)
    words = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    end = dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    config = {"model_max_length": 77, "bos_token": "<|startoftext|>", **end}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return CLIPTokenizer.from_pretrained(folder)


def _scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )
