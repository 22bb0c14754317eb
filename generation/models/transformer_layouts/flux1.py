"""FLUX.1 in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require

X = ("img_in.weight", "x_embedder.weight")
HEAD = ("double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
TEXT = ("txt_in.weight", "context_embedder.weight")
BLOCKS, SINGLE_BLOCKS = ("double_blocks.", "transformer_blocks."), ("single_blocks.", "single_transformer_blocks.")
FUSED = ("double_blocks.0.img_attn.qkv.weight", "single_transformer_blocks.0.proj_mlp.weight")
_SUM = ("vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight")
_GUIDED = ("guidance_in.in_layer.weight", "time_text_embed.guidance_embedder.linear_1.weight")
_TASKS = {
    384: "FLUX.1 Fill, which sees a mask beside the latents",
    128: "FLUX.1 Canny or Depth, which sees a map beside them",
}
"""What a FLUX.1 is for that takes more channels than the usual 64."""
SHIFTED: Mapping[str, Any] = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
"""The schedule of FLUX.1 dev."""


def _find(shapes: Shapes) -> str:
    if not (find(shapes, FUSED) and find(shapes, X)) or any(name.startswith("controlnet_") for name in shapes):
        return ""
    if task := _TASKS.get(require(shapes, X)[-1], ""):
        raise IncompatibleFileError(f"is {task} and cannot be used here")
    return "flux" if find(shapes, _SUM) else ""


def derive_common(shapes: Shapes) -> dict[str, Any]:
    """Return the settings that FLUX.1 and Chroma share."""
    dim, channels = require(shapes, X)
    (head,) = require(shapes, HEAD)
    return {
        "patch_size": 1,
        "in_channels": channels,
        "num_layers": count_blocks(shapes, *BLOCKS),
        "num_single_layers": count_blocks(shapes, *SINGLE_BLOCKS),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "joint_attention_dim": require(shapes, TEXT)[1],
        "axes_dims_rope": [head // 8, head * 7 // 16, head * 7 // 16],
    }


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    return {
        "_class_name": "FluxTransformer2DModel",
        **derive_common(shapes),
        "pooled_projection_dim": require(shapes, _SUM)[1],
        "guidance_embeds": find(shapes, _GUIDED) is not None,
    }


def _derive_schedule(shapes: Shapes) -> Mapping[str, Any]:
    """Return that of dev, or of schnell, which was made to need no guidance and few steps."""
    return SHIFTED if find(shapes, _GUIDED) else {"shift": 1.0, "use_dynamic_shifting": False}


LAYOUT = TransformerLayout(
    families=("flux", "kontext"),
    find=_find,
    derive=_derive,
    schedule=_derive_schedule,
    by_name={"kontext": "kontext"},
)
