"""Z-Image in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require

_X = ("x_embedder.weight", "all_x_embedder.2-1.weight")
_HEAD = ("layers.0.attention.q_norm.weight", "layers.0.attention.norm_q.weight")
_SHIFT = 3.0
"""As ComfyUI paints all of them, and as Z-Image-Turbo's own settings say."""


def _find(shapes: Shapes) -> str:
    if "x_pad_token" not in shapes or not find(shapes, _X):
        return ""
    if any(name.startswith("siglip_embedder.") for name in shapes):
        raise IncompatibleFileError("is Z-Image-Omni, which edits pictures and cannot be used yet")
    return "zimage"


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    dim, patch = require(shapes, _X)
    (head,) = require(shapes, _HEAD)
    fused = shapes.get("layers.0.attention.qkv.weight")
    keys = (fused[0] - dim) // 2 if fused else shapes["layers.0.attention.to_k.weight"][0]
    return {
        "_class_name": "ZImageTransformer2DModel",
        "all_patch_size": [2],
        "all_f_patch_size": [1],
        "in_channels": patch // 4,
        "dim": dim,
        "n_layers": count_blocks(shapes, "layers."),
        "n_refiner_layers": count_blocks(shapes, "noise_refiner."),
        "n_heads": dim // head,
        "n_kv_heads": keys // head,
        "norm_eps": 1e-5,
        "qk_norm": True,
        "cap_feat_dim": shapes["cap_embedder.1.weight"][1],
        "rope_theta": 256.0,
        "t_scale": 1000.0,
        "axes_dims": [head // 4, head * 3 // 8, head * 3 // 8],
        "axes_lens": [1536, 512, 512],
    }


LAYOUT = TransformerLayout(
    families=("zimage",),
    find=_find,
    derive=_derive,
    schedule={"shift": _SHIFT, "use_dynamic_shifting": False},
)
