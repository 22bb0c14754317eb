"""Real diffusers and transformers classes at toy size with random weights, saved in the diffusers layout."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    Swin2SRConfig,
    Swin2SRForImageSuperResolution,
)

from generation.models.catalog import Model
from generation.models.clip_words import build_vocabulary, read_merges
from generation.requests.defaults import Defaults

LATENT_SIDE = 8
SIDE_PX = 64
WIDTH, SECOND_WIDTH = 16, 24
"""Of the text encoders. By it a checkpoint's first and second one are told apart."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
NUM_LETTER_WORDS = 2 * len(_LETTERS) + 2


@dataclass(frozen=True)
class Sizes:
    """What a toy is made of."""

    channels: tuple[int, ...] = (16, 32)
    blocks: tuple[str, ...] = ("CrossAttn", "")
    """Where its UNet attends to words."""
    groups: int = 8
    heads: int = 2
    vae_channels: int = 8
    vae_groups: int = 4
    width: int = WIDTH
    second_width: int = SECOND_WIDTH
    has_clip_words: bool = False
    """Whether it knows the words of CLIP, instead of letters."""
    in_channels: int = 4
    is_open_clip: bool = False
    """Whether it is as Stable Diffusion 2 and XL are: layers without convolutions around attention, another text."""


TOY = Sizes()
XL_SHAPED = Sizes((16, 32, 32), blocks=("", "CrossAttn", "CrossAttn"))
"""Its first block attends to nothing, and halves the sides, as in XL."""
REAL = Sizes(
    (32, 64), groups=32, heads=8, vae_channels=32, vae_groups=32, width=64, second_width=128, has_clip_words=True
)
"""As small as the fixed settings of Stable Diffusion allow: 32 groups, 8 heads or heads of 64, 49,408 words."""
REAL_OPEN_CLIP = replace(REAL, heads=1, is_open_clip=True)


def save_toy(folder: Path, *, prediction_type: str = "epsilon", seed: int = 0, sizes: Sizes = TOY) -> Path:
    """Write a toy Stable Diffusion (8 pixels a latent cell, latents 8 x 8 at 64 pixels) and return its folder."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionPipeline(
        vae=_vae(sizes),
        text_encoder=CLIPTextModel(_text_config(sizes)),
        tokenizer=make_tokenizer(folder / "words", sizes),
        unet=_unet(sizes),
        scheduler=make_scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_xl(folder: Path, *, seed: int = 0, sizes: Sizes = TOY) -> Path:
    """Write a toy Stable Diffusion XL of the same sizes and return its folder."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(sizes, scaling_factor=0.13025 if sizes.is_open_clip else 0.18215),
        text_encoder=CLIPTextModel(_text_config(replace(sizes, is_open_clip=False))),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(replace(sizes, width=sizes.second_width))),
        tokenizer=make_tokenizer(folder / "words", replace(sizes, is_open_clip=False)),
        tokenizer_2=make_tokenizer(folder / "more words", sizes),
        unet=_unet(
            sizes,
            cross_attention_dim=sizes.width + sizes.second_width,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=sizes.second_width + 6 * 8,
        ),
        scheduler=make_scheduler(),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_upscaler(folder: Path) -> Path:
    """Write a toy Swin2SR that doubles, and return its folder."""
    torch.manual_seed(0)
    config = Swin2SRConfig(image_size=16, embed_dim=16, depths=[1], num_heads=[2], window_size=4, upscale=2)
    Swin2SRForImageSuperResolution(config).save_pretrained(folder)
    return folder


def save_checker(folder: Path, *, threshold: float) -> Path:
    """A real checker at toy size. A cosine is at most 1: threshold 1 lets everything pass, -1 nothing."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
    )
    config = CLIPConfig(vision_config=vision.to_dict(), text_config=CLIPTextConfig().to_dict(), projection_dim=8)
    checker = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        checker.concept_embeds.normal_()
        checker.special_care_embeds.normal_()
        checker.concept_embeds_weights.fill_(threshold)
        checker.special_care_embeds_weights.fill_(1.0)
    checker.save_pretrained(folder)
    return folder


def toy_model(path: Path, *, name: str = "toy", family: str = "sd", **parts: Any) -> Model:
    """A catalogue entry for a toy."""
    defaults = Defaults(steps=4, guidance=5.0, sampler="DDIM", native_px=SIDE_PX)
    return Model(name=name, path=path, family=family, licence="none", defaults=defaults, **parts)


def make_scheduler(prediction_type: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type=prediction_type,
    )


def _unet(sizes: Sizes, **changes: Any) -> UNet2DConditionModel:
    plain: dict[str, Any] = {"cross_attention_dim": sizes.width}
    return UNet2DConditionModel(
        **plain | changes,
        sample_size=LATENT_SIDE,
        in_channels=sizes.in_channels,
        out_channels=4,
        block_out_channels=sizes.channels,
        layers_per_block=1,
        down_block_types=tuple(f"{each}DownBlock2D" for each in sizes.blocks),
        up_block_types=tuple(f"{each}UpBlock2D" for each in reversed(sizes.blocks)),
        norm_num_groups=sizes.groups,
        attention_head_dim=sizes.heads,
        use_linear_projection=sizes.is_open_clip,
    )


def _vae(sizes: Sizes, *, scaling_factor: float = 0.18215) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(sizes.vae_channels,) * 4,
        latent_channels=4,
        norm_num_groups=sizes.vae_groups,
        scaling_factor=scaling_factor,
    )


def _text_config(sizes: Sizes) -> CLIPTextConfig:
    num_words = 49408 if sizes.has_clip_words else NUM_LETTER_WORDS
    return CLIPTextConfig(
        vocab_size=num_words,
        hidden_size=sizes.width,
        intermediate_size=32,
        projection_dim=sizes.width,
        num_hidden_layers=2,
        num_attention_heads=max(1, sizes.width // 64) if sizes.has_clip_words else 2,
        max_position_embeddings=77,
        bos_token_id=num_words - 2,
        eos_token_id=num_words - 1,
        pad_token_id=num_words - 1,
        hidden_act="gelu" if sizes.is_open_clip else "quick_gelu",
    )


def make_tokenizer(folder: Path, sizes: Sizes = TOY) -> CLIPTokenizer:
    """One token a letter, without merges; or the words of CLIP."""
    folder.mkdir(parents=True)
    letters = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    words = build_vocabulary() if sizes.has_clip_words else {word: index for index, word in enumerate(letters)}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text(read_merges() if sizes.has_clip_words else "#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 77,
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "!" if sizes.is_open_clip else "<|endoftext|>",
            }
        )
    )
    return CLIPTokenizer.from_pretrained(folder)
