"""Qwen-Image in one file: its authors' names are those of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks

_PATCH = 2
_RELATIVES = {
    "txt_in.text_norm.weight": "Qwen-Image 2.1, which cannot be used here",
    "time_text_embed.addition_t_embedding.weight": "Qwen-Image-Layered, which paints layers and cannot be used here",
    "__index_timestep_zero__": "Qwen-Image-Edit, which edits pictures and cannot be used yet",
}
"""What names in a file say that it is instead."""


def _find(shapes: Shapes) -> str:
    if relative := next((what for name, what in _RELATIVES.items() if name in shapes), ""):
        raise IncompatibleFileError(f"is {relative}")
    is_control = any(name.startswith("controlnet_") for name in shapes)
    is_its = {"txt_norm.weight", "img_in.weight", "transformer_blocks.0.img_mod.1.weight"} <= shapes.keys()
    return "qwenimage" if is_its and not is_control else ""


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    dim, channels = shapes["img_in.weight"]
    (head,) = shapes["transformer_blocks.0.attn.norm_q.weight"]
    return {
        "_class_name": "QwenImageTransformer2DModel",
        "patch_size": _PATCH,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0] // _PATCH**2,
        "num_layers": count_blocks(shapes, "transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": dim // head,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "guidance_embeds": False,
        "axes_dims_rope": [head // 8, head * 7 // 16, head * 7 // 16],
    }


LAYOUT = TransformerLayout(
    families=("qwenimage",),
    find=_find,
    derive=_derive,
    schedule={
        "shift": 1.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 0.9,
        "base_image_seq_len": 256,
        "max_image_seq_len": 8192,
        "shift_terminal": 0.02,
        "time_shift_type": "exponential",
    },
)
