"""FLUX.2 klein in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.families import BY_PIPELINE
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require

_SIZES = BY_PIPELINE["Flux2KleinPipeline"]
_X = ("img_in.weight", "x_embedder.weight")
_HEAD = ("double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
_TEXT = ("txt_in.weight", "context_embedder.weight")
_INNER = ("double_blocks.0.img_mlp.2.weight", "transformer_blocks.0.ff.linear_out.weight")
_TIME = ("time_in.in_layer.weight", "time_guidance_embed.timestep_embedder.linear_1.weight")
_GUIDED = ("guidance_in.in_layer.weight", "time_guidance_embed.guidance_embedder.linear_1.weight")
_MODULATION = ("double_stream_modulation_img.lin.weight", "double_stream_modulation_img.linear.weight")
_BLOCKS, _SINGLE_BLOCKS = ("double_blocks.", "transformer_blocks."), ("single_blocks.", "single_transformer_blocks.")


def _find(shapes: Shapes) -> str:
    if not (find(shapes, _MODULATION) and find(shapes, _X)):
        return ""
    if find(shapes, _GUIDED):
        raise IncompatibleFileError("is FLUX.2 dev, which cannot be used here")
    blocks = count_blocks(shapes, *_BLOCKS)
    return next((family.name for family in _SIZES if family.num_blocks == blocks), _SIZES[0].name)


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    dim, channels = require(shapes, _X)
    (head,) = require(shapes, _HEAD)
    return {
        "_class_name": "Flux2Transformer2DModel",
        "patch_size": 1,
        "in_channels": channels,
        "num_layers": count_blocks(shapes, *_BLOCKS),
        "num_single_layers": count_blocks(shapes, *_SINGLE_BLOCKS),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "joint_attention_dim": require(shapes, _TEXT)[1],
        "timestep_guidance_channels": require(shapes, _TIME)[1],
        "mlp_ratio": require(shapes, _INNER)[1] / dim,
        "axes_dims_rope": [head // 4] * 4,
        "rope_theta": 2000,
        "eps": 1e-6,
        "guidance_embeds": False,
    }


def _build_more(hint: str) -> Mapping[str, Any]:
    """Return whether it is distilled: base models are known by their names."""
    return {"is_distilled": "base" not in hint.lower()}


LAYOUT = TransformerLayout(
    families=tuple(family.name for family in _SIZES),
    find=_find,
    derive=_derive,
    schedule={
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
        "time_shift_type": "exponential",
    },
    text_class="Qwen3ForCausalLM",
    build_more=_build_more,
)
