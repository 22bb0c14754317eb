"""Stable Diffusion 3.5 (and 3) in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from generation.models.checkpoint import Shapes
from generation.models.families import BY_PIPELINE
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require

_SIZES = BY_PIPELINE["StableDiffusion3Pipeline"]
_X = ("x_embedder.proj.weight", "pos_embed.proj.weight")
_PLACES = ("pos_embed", "pos_embed.pos_embed")
_TEXT = ("context_embedder.weight",)
_SUM = ("y_embedder.mlp.0.weight", "time_text_embed.text_embedder.linear_1.weight")
_HEAD = ("joint_blocks.0.x_block.attn.ln_q.weight", "transformer_blocks.0.attn.norm_q.weight")
_LAST = ("final_layer.linear.weight", "proj_out.weight")
_DUAL = ("joint_blocks.{}.x_block.attn2.qkv.weight", "transformer_blocks.{}.attn2.to_q.weight")
_JOINED = ("joint_blocks.0.context_block.attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight")
_HEAD_WIDTH = 64
"""Where no norm tells it, as of Stable Diffusion 3 itself."""


def _find(shapes: Shapes) -> str:
    has_all = all(find(shapes, names) for names in (_X, _PLACES, _TEXT, _SUM, _JOINED))
    if not has_all or any(name.startswith("controlnet_") for name in shapes):
        return ""
    blocks = _count(shapes)
    return next((family.name for family in _SIZES if family.num_blocks == blocks), _SIZES[0].name)


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    dim, channels, patch, _ = require(shapes, _X)
    head = find(shapes, _HEAD)
    width, blocks = head[0] if head else _HEAD_WIDTH, _count(shapes)
    return {
        "_class_name": "SD3Transformer2DModel",
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": require(shapes, _LAST)[0] // patch**2,
        "num_layers": blocks,
        "attention_head_dim": width,
        "num_attention_heads": dim // width,
        "caption_projection_dim": require(shapes, _TEXT)[0],
        "joint_attention_dim": require(shapes, _TEXT)[1],
        "pooled_projection_dim": require(shapes, _SUM)[1],
        "pos_embed_max_size": isqrt(require(shapes, _PLACES)[1]),
        "dual_attention_layers": [each for each in range(blocks) if find(shapes, tuple(n.format(each) for n in _DUAL))],
        "qk_norm": "rms_norm" if head else None,
    }


def _count(shapes: Shapes) -> int:
    return count_blocks(shapes, "joint_blocks.", "transformer_blocks.")


LAYOUT = TransformerLayout(
    families=tuple(family.name for family in _SIZES),
    find=_find,
    derive=_derive,
    schedule={"shift": 3.0, "use_dynamic_shifting": False},
    vae={"scaling_factor": 1.5305, "shift_factor": 0.0609},
)
