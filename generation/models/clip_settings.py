"""The settings of a CLIP text encoder and of its word list, which all models of a kind have in common. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import Shapes
from generation.models.clip_words import END, START, build_vocabulary

HEAD_WIDTH = 64
_WIDTH_L = 768
_INNER = "text_model.encoder.layers.0.mlp.fc1.weight"


def derive_clip_text(shapes: Shapes) -> Mapping[str, Any]:
    """Return the settings of a CLIP in one file, by the names of transformers. Raise `LookupError` or `ValueError` if
    its shapes are unknown here."""
    words = shapes["text_model.embeddings.token_embedding.weight"]
    prefix = "text_model.encoder.layers."
    layers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    is_big = words[-1] > _WIDTH_L
    return build_clip(
        words=words,
        inner=shapes[_INNER][0],
        layers=max(int(number) for number in layers) + 1,
        activation="gelu" if is_big else "quick_gelu",
        positions=shapes["text_model.embeddings.position_embedding.weight"][0],
        projection=shapes.get("text_projection.weight", (words[-1],))[0],
        cls="CLIPTextModelWithProjection",
    )


def is_big_clip(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are those of CLIP-G (or H), which OpenCLIP trained, and not of OpenAI's CLIP-L."""
    return bool(settings["hidden_size"] > _WIDTH_L)


def build_clip_words(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the files of the word list of a CLIP by their name, but its merges."""
    return {
        "tokenizer_config.json": build_tokenizer(is_open_clip=is_big_clip(settings)),
        "vocab.json": build_vocabulary(),
    }


def build_tokenizer(*, is_open_clip: bool) -> dict[str, Any]:
    """Return `tokenizer_config.json`."""
    return {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": "!" if is_open_clip else END,
    }


def build_clip(
    *,
    words: tuple[int, ...],
    inner: int,
    layers: int,
    activation: str,
    positions: int,
    projection: int | None = None,
    cls: str = "CLIPTextModel",
) -> dict[str, Any]:
    """Return `config.json`. `words`: how many there are, and how wide; `projection`: the width of their sum."""
    num_words, width = words
    return {
        "architectures": [cls],
        "model_type": "clip_text_model",
        "vocab_size": num_words,
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection or width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "max_position_embeddings": positions,
        "hidden_act": activation,
        "layer_norm_eps": 1e-5,
        "bos_token_id": num_words - 2,
        "eos_token_id": num_words - 1,
        "pad_token_id": num_words - 1,
    }
