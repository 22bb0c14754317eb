"""Tries whether a LoRA fits a model, before it is added: `python -m generation.engine.lora_trial`.

In a process of its own, it runs the engine's reader on networks that have sizes and no weights, so what passes here is
read there. Reads a `LoraQuestion` on stdin; says why not on stdout, and nothing where all is well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    Flux2Transformer2DModel,
    QwenImageTransformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from generation.engine.lora_file import read_lora
from generation.errors import InvalidRequestError
from generation.models.json_file import read_json
from generation.requests.prompt_addons import BASES, TRANSFORMERS
from generation.workers.frames import LoraQuestion, decode_lora_question

_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
_SIZES: Mapping[int, Mapping[str, Mapping[str, Any]]] = {
    768: {"unet": {"attention_head_dim": 8}, "text_encoder": _CLIP_L},
    1024: {"unet": {"attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}, "text_encoder": _CLIP_H},
    2048: {
        "unet": {
            "attention_head_dim": [5, 10, 20],
            "use_linear_projection": True,
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": [1, 2, 10],
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        "text_encoder": _CLIP_L,
        "text_encoder_2": {**_CLIP_G, "projection_dim": 1280},
    },
}
"""Of Stable Diffusion 1, 2 and XL as they were published, by the width of what their UNet reads: what is not diffusers'
default. Models that were cut down from them have fewer layers, and none of another size."""
_KLEIN = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680}
_KLEIN_9B = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288}
_TRANSFORMERS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "zimage": (ZImageTransformer2DModel, {}),
    "klein": (Flux2Transformer2DModel, {"guidance_embeds": False, **_KLEIN}),
    "klein9b": (Flux2Transformer2DModel, {"guidance_embeds": False, **_KLEIN_9B}),
    "qwenimage": (QwenImageTransformer2DModel, {}),
}
"""Of transformers as they were published, by family: what is not diffusers' default."""


def main() -> None:
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that other output does not mix with ours
    answer.write(explain_misfit(decode_lora_question(sys.stdin.buffer.read())))
    answer.flush()


def explain_misfit(question: LoraQuestion) -> str:
    """Return why a LoRA fits none of the models it may be for; nothing where it fits one of them, or none is known."""
    why = ""
    for name, modules in _find_networks(question):
        try:
            read_lora(question.lora, modules)
            return ""
        except InvalidRequestError as refused:
            why = why or f"With {name}: {refused}"
    return why


def _find_networks(question: LoraQuestion) -> Iterator[tuple[str, Mapping[str, nn.Module]]]:
    """Yield the networks of the published models, then of those that were added, with their names."""
    family = question.lora.family
    if family:
        yield TRANSFORMERS[family], _build_transformer(family, None)
    else:
        for width, name in BASES.items():
            if question.lora.context_width in (0, width):
                yield name, _build_published(width)
    for folder in question.folders:
        if (modules := _build_from_folder(folder, family)) is not None:
            yield str(folder), modules


@lru_cache(maxsize=4)
def _build_transformer(family: str, folder: Path | None) -> Mapping[str, nn.Module]:
    """Return the transformer of a family without weights, of the published size or of that of a folder."""
    cls, published = _TRANSFORMERS[family]
    with torch.device("meta"):
        return {"transformer": cls.from_config(read_json(folder / "transformer/config.json") if folder else published)}


@lru_cache(maxsize=4)
def _build_from_folder(folder: Path, family: str) -> Mapping[str, nn.Module] | None:
    parts = ("unet", "text_encoder", "text_encoder_2")
    try:
        if family:
            return _build_transformer(family, folder)
        return _build({part: read_json(folder / part / "config.json") for part in parts if (folder / part).is_dir()})
    except Exception:  # what is wrong with a model is said where that is loaded
        return None


@lru_cache(maxsize=4)
def _build_published(width: int) -> Mapping[str, nn.Module]:
    sizes = _SIZES[width]
    return _build({**sizes, "unet": {**sizes["unet"], "cross_attention_dim": width}})


def _build(settings: Mapping[str, Mapping[str, Any]]) -> Mapping[str, nn.Module]:
    """Return networks of these sizes without weights."""
    classes = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with torch.device("meta"):
        texts = {part: kind(CLIPTextConfig(**settings[part])) for part, kind in classes.items() if part in settings}
        return {"unet": UNet2DConditionModel.from_config(dict(settings["unet"])), **texts}


if __name__ == "__main__":
    main()
