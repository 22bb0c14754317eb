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

import diffusers
import torch
import transformers
from torch import nn
from transformers import CLIPTextConfig

from generation.engine.lora_file import read_lora
from generation.errors import InvalidRequestError
from generation.models.families import FAMILIES
from generation.models.json_file import read_json
from generation.requests.bases import BASES, TRANSFORMERS
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
_SD3 = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "dual_attention_layers": range(13)}
_SD3_LARGE = {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432}
_ERNIE = {
    "num_layers": 36,
    "num_attention_heads": 32,
    "hidden_size": 4096,
    "ffn_hidden_size": 12288,
    "text_in_dim": 3072,
}
_CLIP_L_OF_SD3, _CLIP_G_OF_SD3 = {**_CLIP_L, "projection_dim": 768}, {**_CLIP_G, "projection_dim": 1280}
_BOTH_CLIP = {"text_encoder": _CLIP_L_OF_SD3, "text_encoder_2": _CLIP_G_OF_SD3}
_FLUX: Mapping[str, Mapping[str, Any]] = {"transformer": {"guidance_embeds": True}, "text_encoder": _CLIP_L}
_USUAL: Mapping[str, Mapping[str, Any]] = {"transformer": {}}
_FLOW: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "zimage": _USUAL,
    "klein": {"transformer": {"guidance_embeds": False, **_KLEIN}},
    "klein9b": {"transformer": {"guidance_embeds": False, **_KLEIN_9B}},
    "qwenimage": _USUAL,
    "qwenedit": _USUAL,
    "qweneditplus": _USUAL,
    "krea2": _USUAL,
    "ernie": {"transformer": _ERNIE},
    "flux": _FLUX,
    "kontext": _FLUX,
    "chroma": _USUAL,
    "sd3": {"transformer": _SD3, **_BOTH_CLIP},
    "sd3large": {"transformer": _SD3_LARGE, **_BOTH_CLIP},
}
"""Of the transformers in `TRANSFORMERS` and the CLIP beside them, as published: what is not diffusers' default."""
_PAINTING = ("unet", "transformer")
_PARTS = (*_PAINTING, "text_encoder", "text_encoder_2")
_CLASSES = ("CLIPTextModel", "CLIPTextModelWithProjection")


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
    for family in question.lora.family.split():
        yield TRANSFORMERS[family], _build_flow(family)
    if not question.lora.family:
        for width, name in BASES.items():
            if question.lora.context_width in (0, width):
                yield name, _build_published(width)
    for folder in question.folders:
        if (modules := _build_from_folder(folder)) is not None:
            yield str(folder), modules


@lru_cache(maxsize=4)
def _build_flow(family: str) -> Mapping[str, nn.Module]:
    components = FAMILIES[family].components
    return _build({part: (str(components[part]), settings) for part, settings in _FLOW[family].items()})


@lru_cache(maxsize=4)
def _build_published(width: int) -> Mapping[str, nn.Module]:
    sizes = _SIZES[width]
    sizes = {**sizes, "unet": {**sizes["unet"], "cross_attention_dim": width}}
    components = FAMILIES["sdxl" if "text_encoder_2" in sizes else "sd"].components
    return _build({part: (str(components[part]), settings) for part, settings in sizes.items()})


@lru_cache(maxsize=4)
def _build_from_folder(folder: Path) -> Mapping[str, nn.Module] | None:
    """Return the networks of a model that was added, but for text encoders that no LoRA changes; None if its settings
    are broken: what is wrong with a model is said where that is loaded."""
    try:
        index = read_json(folder / "model_index.json")
        classes = {part: index[part][1] for part in _PARTS if part in index}
        known = {part: name for part, name in classes.items() if name in _CLASSES or part in _PAINTING}
        return _build({part: (name, read_json(folder / part / "config.json")) for part, name in known.items()})
    except Exception:
        return None


def _build(networks: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Mapping[str, nn.Module]:
    """Return networks of these classes and sizes without weights."""
    built = dict[str, nn.Module]()
    with torch.device("meta"):
        for part, (name, settings) in networks.items():
            if name in _CLASSES:
                built[part] = getattr(transformers, name)(CLIPTextConfig(**settings))
            else:
                built[part] = getattr(diffusers, name).from_config(dict(settings))
    return built


if __name__ == "__main__":
    main()
