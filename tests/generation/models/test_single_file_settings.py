"""The settings of checkpoints in one file, derived from the headers of the real ones (`samples/`, names and shapes)."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from generation.models.checkpoint import UNET, VAE, IncompatibleFileError, Shapes, family_of
from generation.models.clip_words import build_vocabulary
from generation.models.single_file_settings import derive_settings, write_settings

SAMPLES = Path(__file__).with_name("samples")
COUNTS = {
    "sd15-fp16": 859_520_964,
    "sd15-inpainting": 859_535_364,
    "sd21-768-v": 865_910_724,
    "sdxl-fp16": 2_567_463_684,
}
"""Weights of the UNets, as their authors' model cards and diffusers count them."""


def header(name: str) -> dict[str, tuple[int, ...]]:
    shapes = json.loads(gzip.decompress((SAMPLES / f"{name}.json.gz").read_bytes()))
    return {tensor: tuple(shape) for tensor, shape in shapes.items()}


def derived(name: str, **options: Any) -> dict[str, Any]:
    shapes = header(name)
    return dict(derive_settings(shapes, family_of(shapes), **options))


def count(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def count_in(shapes: Shapes, prefix: str, *, without: tuple[str, ...] = ()) -> int:
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if name.startswith(prefix) and not any(part in name for part in without)
    )


@pytest.mark.parametrize("name", COUNTS)
def test_the_networks_have_every_weight_of_the_file(name: str) -> None:
    shapes, settings = header(name), derived(name)
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(settings["unet/config.json"])
        vae = AutoencoderKL.from_config(settings["vae/config.json"])
    assert count(unet) == count_in(shapes, UNET) == COUNTS[name]
    assert count(vae) == count_in(shapes, VAE) == 83_653_863


@pytest.mark.parametrize(
    ("name", "part", "prefix", "without"),
    [
        ("sd15-fp16", "text_encoder", "cond_stage_model.transformer.", ("position_ids",)),
        ("sd21-768-v", "text_encoder", "cond_stage_model.model.", ("resblocks.23.", "text_projection", "logit_scale")),
        ("sdxl-fp16", "text_encoder", "conditioner.embedders.0.transformer.", ("position_ids",)),
        ("sdxl-fp16", "text_encoder_2", "conditioner.embedders.1.model.", ("logit_scale",)),
    ],
)
def test_the_text_encoders_have_every_weight_of_the_file(
    name: str, part: str, prefix: str, without: tuple[str, ...]
) -> None:
    config = CLIPTextConfig(**derived(name)[f"{part}/config.json"])
    with torch.device("meta"):
        model = CLIPTextModelWithProjection(config) if part.endswith("_2") else CLIPTextModel(config)
    assert count(model) == count_in(header(name), prefix, without=without)


FACTS: dict[str, dict[str, dict[str, Any]]] = {
    "sd15-fp16": {
        "unet": {
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
            "sample_size": 64,
            "use_linear_projection": False,
            "in_channels": 4,
        },
        "vae": {"scaling_factor": 0.18215},
        "text_encoder": {"hidden_act": "quick_gelu", "num_attention_heads": 12, "num_hidden_layers": 12},
    },
    "sd15-inpainting": {"unet": {"in_channels": 9, "attention_head_dim": 8, "sample_size": 64}},
    "sd21-768-v": {
        "unet": {
            "attention_head_dim": [5, 10, 20, 20],
            "cross_attention_dim": 1024,
            "sample_size": 96,
            "use_linear_projection": True,
        },
        "text_encoder": {"hidden_act": "gelu", "num_attention_heads": 16, "num_hidden_layers": 23},
    },
    "sdxl-fp16": {
        "unet": {
            "attention_head_dim": [5, 10, 20],
            "transformer_layers_per_block": [1, 2, 10],
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
            "sample_size": 128,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        },
        "vae": {"scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder_2": {"hidden_act": "gelu", "num_attention_heads": 20, "projection_dim": 1280},
    },
}
"""What no shape tells, as the models' own folders on the hub have it."""


@pytest.mark.parametrize("name", FACTS)
def test_what_no_shape_tells_is_that_of_its_kind(name: str) -> None:
    settings = derived(name)
    for part, facts in FACTS[name].items():
        found = settings[f"{part}/config.json"]
        assert {key: found[key] for key in facts} == facts


@pytest.mark.parametrize(
    ("hint", "predicts", "sample_size"),
    [("v2-1_768-ema-pruned", "v_prediction", 96), ("v2-1_512-base", "epsilon", 64), ("mix 512", "epsilon", 64)],
)
def test_the_name_tells_the_two_kinds_of_stable_diffusion_2_apart(hint: str, predicts: str, sample_size: int) -> None:
    settings = derived("sd21-768-v", hint=hint)
    assert settings["scheduler/scheduler_config.json"]["prediction_type"] == predicts
    assert settings["unet/config.json"]["sample_size"] == sample_size


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("middle_block.1.", "is a shortened Stable Diffusion"),
        ("middle_block.1.proj_in.weight", "has names or shapes that no Stable Diffusion has"),
        ("label_emb.", "has names or shapes that no Stable Diffusion has"),
    ],
)
def test_a_network_of_another_shape_is_refused_in_a_sentence(drop: str, says: str) -> None:
    shapes = {name: shape for name, shape in header("sdxl-fp16").items() if f"{UNET}{drop}" not in name}
    with pytest.raises(IncompatibleFileError, match=says):
        derive_settings(shapes, "sdxl")


def test_the_words_are_those_of_clip(tmp_path: Path) -> None:
    words = build_vocabulary()
    assert len(words) == 49408 and words["!"] == 0 and words["<|endoftext|>"] == 49407
    folder = write_settings(tmp_path, derived("sdxl-fp16"), "sdxl")
    first, second = (CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2"))
    assert first("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert (first.pad_token_id, second.pad_token_id) == (49407, 0)


def test_the_same_settings_share_a_folder(tmp_path: Path) -> None:
    one, again = (write_settings(tmp_path, derived("sd15-fp16"), "sd") for _ in range(2))
    other = write_settings(tmp_path, derived("sd15-inpainting"), "sd")
    assert one == again != other
