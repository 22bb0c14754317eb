"""Krea 2 in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import Shapes
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require

_MANY = ("txtfusion.projector.weight", "text_fusion.projector.weight")
_X = ("first.weight", "img_in.weight")
_TIME = ("tmlp.0.weight", "time_embed.linear_1.weight")
_HEAD = ("blocks.0.attn.qknorm.qnorm.scale", "transformer_blocks.0.attn.norm_q.weight")
_KEYS = ("blocks.0.attn.wk.weight", "transformer_blocks.0.attn.to_k.weight")
_INNER = ("blocks.0.mlp.gate.weight", "transformer_blocks.0.ff.gate.weight")
_TEXT = ("txtmlp.0.scale", "txt_in.norm.weight")
_LAYERWISE = ("txtfusion.layerwise_blocks.", "text_fusion.layerwise_blocks.")
_TEXT_HEAD = (f"{_LAYERWISE[0]}0.attn.qknorm.qnorm.scale", f"{_LAYERWISE[1]}0.attn.norm_q.weight")
_TEXT_KEYS = (f"{_LAYERWISE[0]}0.attn.wk.weight", f"{_LAYERWISE[1]}0.attn.to_k.weight")
_TEXT_INNER = (f"{_LAYERWISE[0]}0.mlp.gate.weight", f"{_LAYERWISE[1]}0.ff.gate.weight")


def _find(shapes: Shapes) -> str:
    return "krea2" if find(shapes, _MANY) and find(shapes, _X) else ""


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    dim, channels = require(shapes, _X)
    (head,), (text,), (text_head,) = (require(shapes, names) for names in (_HEAD, _TEXT, _TEXT_HEAD))
    return {
        "_class_name": "Krea2Transformer2DModel",
        "in_channels": channels,
        "num_layers": count_blocks(shapes, "blocks.", "transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "num_key_value_heads": require(shapes, _KEYS)[0] // head,
        "intermediate_size": require(shapes, _INNER)[0],
        "timestep_embed_dim": require(shapes, _TIME)[1],
        "text_hidden_dim": text,
        "num_text_layers": require(shapes, _MANY)[1],
        "text_num_attention_heads": text // text_head,
        "text_num_key_value_heads": require(shapes, _TEXT_KEYS)[0] // text_head,
        "text_intermediate_size": require(shapes, _TEXT_INNER)[0],
        "num_layerwise_text_blocks": count_blocks(shapes, *_LAYERWISE),
        "num_refiner_text_blocks": count_blocks(shapes, "txtfusion.refiner_blocks.", "text_fusion.refiner_blocks."),
        "axes_dims_rope": [head // 4, head * 3 // 8, head * 3 // 8],
        "rope_theta": 1000.0,
        "norm_eps": 1e-5,
    }


def _build_more(hint: str) -> Mapping[str, Any]:
    """Return whether it is distilled: those are known by their names."""
    return {"is_distilled": "turbo" in hint.lower()}


LAYOUT = TransformerLayout(
    families=("krea2",),
    find=_find,
    derive=_derive,
    schedule={
        "shift": 1.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 6400,
        "time_shift_type": "exponential",
    },
    build_more=_build_more,
)
