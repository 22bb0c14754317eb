"""The settings that a checkpoint in one file lacks, read off the names and shapes in its header. No torch.

Such a file holds weights only. What no shape tells (attention heads, activations, the scale of latents, the noise
schedule) is the same for all models of a kind, and stands here. They are written as a folder in the diffusers layout
without weights, so that a loader, `verify` and a recipe treat them as any other settings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generation.models.checkpoint import (
    UNET,
    VAE,
    IncompatibleFileError,
    Shapes,
    context_width,
    require_parts,
    text_prefix,
)
from generation.models.clip_settings import HEAD_WIDTH, build_clip, build_tokenizer
from generation.models.clip_words import build_vocabulary, read_merges
from generation.models.scheduler_config import EPSILON, V_PREDICTION

SETTINGS_DIR = "settings"
"""The folder beside the register in which they are written."""
Files = Mapping[str, Any]
"""Content of JSON files, or of any as bytes, by their path in the folder."""

_HEADS_SD1 = 8
_LAYERS_SD2 = 23
"""Stable Diffusion 2 reads the last layer but one of OpenCLIP's 24; its own folders leave the last one out."""
_TIME_IDS = 6
_SAMPLE_SIZE = {"sd1": 64, "sd2": 64, "sd2-v": 96, "xl": 128}
_SCALING = {"sd1": 0.18215, "sd2": 0.18215, "sd2-v": 0.18215, "xl": 0.13025}
_BASE_NAME = re.compile(r"base|512|epsilon|\beps\b", re.IGNORECASE)


def derive_settings(shapes: Shapes, family: str, *, hint: str = "", has_other_vae: bool = False) -> Files:
    """Return the settings of a checkpoint of that family. Raise `IncompatibleFileError` if its shape is unknown here.

    `hint` is the file's name: the header of Stable Diffusion 2 does not tell the model for 512 pixels, which predicts
    epsilon, from the one for 768, which predicts v. `has_other_vae`: the file needs none.
    """
    require_parts(shapes, family, has_other_vae=has_other_vae)
    try:
        return _derive(shapes, family, _find_kind(shapes, family, hint))
    except (LookupError, ValueError) as error:
        if isinstance(error, IncompatibleFileError):
            raise
        problem = f"has names or shapes that no Stable Diffusion has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Name a model folder of the same kind with --config.") from None


def _derive(shapes: Shapes, family: str, kind: str) -> Files:
    text = {"text_encoder": _derive_clip(shapes, family, "text_encoder")}
    if kind == "xl":
        text["text_encoder_2"] = _derive_open_clip(shapes, family, "text_encoder_2")
    elif kind != "sd1":
        text["text_encoder"] = _derive_open_clip(shapes, family, "text_encoder")
    tokenizers = {part.replace("text_encoder", "tokenizer"): part for part in text}
    return {
        "model_index.json": _build_index(family),
        "scheduler/scheduler_config.json": _build_scheduler(kind),
        "unet/config.json": _derive_unet(shapes, kind),
        "vae/config.json": _derive_vae(shapes, kind),
        **{f"{part}/config.json": settings for part, settings in text.items()},
        **{
            f"{name}/tokenizer_config.json": build_tokenizer(is_open_clip=_is_open_clip(shapes, family, part))
            for name, part in tokenizers.items()
        },
        **{f"{name}/vocab.json": build_vocabulary() for name in tokenizers},
    }


def write_settings(models_dir: Path, files: Files, family: str) -> Path:
    """Write settings below `models_dir` and return their folder; the same ones share a folder, which never changes."""
    content = {name: value if isinstance(value, bytes) else _write_json(value) for name, value in files.items()}
    for name in files:
        if name.endswith("vocab.json"):  # of CLIP, unless another's merges are there
            content.setdefault(name.replace("vocab.json", "merges.txt"), read_merges().encode())
    digest = hashlib.sha256(b"\0".join(part for name in sorted(content) for part in (name.encode(), content[name])))
    folder = models_dir / SETTINGS_DIR / f"{family}-{digest.hexdigest()[:12]}"
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _write_json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def list_settings(models_dir: Path) -> list[Path]:
    """Return the folders that `write_settings` wrote below `models_dir`."""
    return list((models_dir / SETTINGS_DIR).glob("*"))


def _find_kind(shapes: Shapes, family: str, hint: str) -> str:
    if family == "sdxl":
        return "xl"
    if not _is_open_clip(shapes, family, "text_encoder"):
        return "sd1"
    return "sd2" if _BASE_NAME.search(hint) else "sd2-v"


def _is_open_clip(shapes: Shapes, family: str, part: str) -> bool:
    return f"{text_prefix(shapes, family, part)}positional_embedding" in shapes


def _build_index(family: str) -> dict[str, Any]:
    clip, words = ["transformers", "CLIPTextModel"], ["transformers", "CLIPTokenizer"]
    index = {"text_encoder": clip, "tokenizer": words, "scheduler": ["diffusers", "PNDMScheduler"]}
    index |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    if family == "sdxl":
        second = {"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer_2": words}
        return {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True, **index, **second}
    return {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, **index}


def _build_scheduler(kind: str) -> dict[str, Any]:
    return {
        "_class_name": "PNDMScheduler",
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": V_PREDICTION if kind == "sd2-v" else EPSILON,
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "clip_sample": False,
        "trained_betas": None,
    }


def _derive_unet(shapes: Shapes, kind: str) -> dict[str, Any]:
    levels = _list_levels(shapes)
    widths = [width for width, _, _ in levels]
    depths = [depth for _, _, depth in levels]
    if _count_depth(shapes, "middle_block.1") != max(depths):
        problem = "is a shortened Stable Diffusion, such as SSD-1B or Vega"
        raise IncompatibleFileError(problem, "Name a model folder of the same kind with --config, or add a full model.")
    heads = _HEADS_SD1 if kind == "sd1" else [max(1, width // HEAD_WIDTH) for width in widths]
    settings: dict[str, Any] = {
        "_class_name": "UNet2DConditionModel",
        "sample_size": _SAMPLE_SIZE[kind],
        "in_channels": shapes[f"{UNET}input_blocks.0.0.weight"][1],
        "out_channels": 4,
        "block_out_channels": widths,
        "layers_per_block": levels[0][1],
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "transformer_layers_per_block": [max(1, depth) for depth in depths],
        "cross_attention_dim": context_width(shapes),
        "attention_head_dim": heads,
        "use_linear_projection": len(shapes[f"{UNET}middle_block.1.proj_in.weight"]) == 2,
        "upcast_attention": False,
    }
    if kind == "xl":
        pooled = shapes[f"{text_prefix(shapes, 'sdxl', 'text_encoder_2')}text_projection"][-1]
        added = shapes[f"{UNET}label_emb.0.0.weight"][1]
        settings |= {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": added}
        settings["addition_time_embed_dim"] = (added - pooled) // _TIME_IDS
    return settings


def _list_levels(shapes: Shapes) -> list[tuple[int, int, int]]:
    """Return (width, residual blocks, transformer blocks in each) of every level of the UNet, the largest first."""
    levels: list[tuple[int, int, int]] = []
    width, blocks, depth, index = 0, 0, 0, 1
    while any(f"{UNET}input_blocks.{index}.0.{part}" in shapes for part in ("in_layers.2.weight", "op.weight")):
        first = shapes.get(f"{UNET}input_blocks.{index}.0.in_layers.2.weight")
        if first is None:
            levels.append((width, blocks, depth))
            blocks, depth = 0, 0
        else:
            width, blocks, depth = first[0], blocks + 1, max(depth, _count_depth(shapes, f"input_blocks.{index}.1"))
        index += 1
    return [*levels, (width, blocks, depth)]


def _count_depth(shapes: Shapes, block: str) -> int:
    return _count(shapes, f"{UNET}{block}.transformer_blocks.")


def _count(shapes: Shapes, prefix: str) -> int:
    """Return how many numbers follow `prefix` in the names, counted from 0."""
    found = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return max((int(number) + 1 for number in found if number.isdecimal()), default=0)


def _derive_vae(shapes: Shapes, kind: str) -> dict[str, Any]:
    """Return the settings of the VAE in the file; of the usual one where another VAE is used instead."""
    count = _count(shapes, f"{VAE}encoder.down.")
    widths = [shapes[f"{VAE}encoder.down.{level}.block.0.conv1.weight"][0] for level in range(count)]
    widths = widths or [128, 256, 512, 512]
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, f"{VAE}encoder.down.0.block.") or 2,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "norm_num_groups": 32,
        "sample_size": _SAMPLE_SIZE[kind] * 8,
        "scaling_factor": _SCALING[kind],
        "force_upcast": kind == "xl",
    }


def _derive_clip(shapes: Shapes, family: str, part: str) -> dict[str, Any]:
    prefix = text_prefix(shapes, family, part)
    inner = f"{prefix}text_model." if any(name.startswith(f"{prefix}text_model.") for name in shapes) else prefix
    first = shapes.get(f"{inner}encoder.layers.0.mlp.fc1.weight", (3072, 768))
    return build_clip(
        words=shapes.get(f"{inner}embeddings.token_embedding.weight", (49408, 768)),
        inner=first[0],
        layers=_count(shapes, f"{inner}encoder.layers."),
        activation="quick_gelu",
        positions=shapes.get(f"{inner}embeddings.position_embedding.weight", (77, 768))[0],
    )


def _derive_open_clip(shapes: Shapes, family: str, part: str) -> dict[str, Any]:
    prefix = text_prefix(shapes, family, part)
    layers = _count(shapes, f"{prefix}transformer.resblocks.")
    words = shapes[f"{prefix}token_embedding.weight"]
    return build_clip(
        words=words,
        inner=shapes[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"][0],
        layers=layers if family == "sdxl" else min(layers, _LAYERS_SD2),
        activation="gelu",
        positions=shapes[f"{prefix}positional_embedding"][0],
        projection=shapes.get(f"{prefix}text_projection", words)[-1],
        cls="CLIPTextModelWithProjection" if family == "sdxl" else "CLIPTextModel",
    )
