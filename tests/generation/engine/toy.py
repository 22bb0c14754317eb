"""Real diffusers and transformers classes at toy size with random weights, saved in the diffusers layout."""

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
from generation.requests.defaults import Defaults

LATENT_SIDE = 8
SIDE_PX = 64
WIDTH, SECOND_WIDTH = 16, 24
"""Of the text encoders. By it a checkpoint's first and second one are told apart."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def save_toy(folder: Path, *, prediction_type: str = "epsilon", seed: int = 0) -> Path:
    """Write a toy Stable Diffusion (8 pixels a latent cell, latents 8 x 8 at 64 pixels) and return its folder."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config()),
        tokenizer=_tokenizer(folder / "words"),
        unet=_unet(),
        scheduler=_scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_xl(folder: Path, *, seed: int = 0) -> Path:
    """Write a toy Stable Diffusion XL of the same sizes and return its folder."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config()),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(width=SECOND_WIDTH)),
        tokenizer=_tokenizer(folder / "words"),
        tokenizer_2=_tokenizer(folder / "more words"),
        unet=_unet(
            cross_attention_dim=WIDTH + SECOND_WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=SECOND_WIDTH + 6 * 8,
        ),
        scheduler=_scheduler("epsilon"),
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


def _scheduler(prediction_type: str) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type=prediction_type,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    plain: dict[str, Any] = {"cross_attention_dim": WIDTH}
    return UNet2DConditionModel(
        **plain | changes,
        sample_size=LATENT_SIDE,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=8,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
    )


def _text_config(*, width: int = WIDTH) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=2 * len(_LETTERS) + 2,
        hidden_size=width,
        intermediate_size=32,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=2 * len(_LETTERS),
        eos_token_id=2 * len(_LETTERS) + 1,
        pad_token_id=2 * len(_LETTERS) + 1,
    )


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """One token a letter: no merges."""
    folder.mkdir(parents=True)
    words = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n".replace("a b\n", ""))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 77,
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
            }
        )
    )
    return CLIPTokenizer.from_pretrained(folder)
