"""Chroma in one file, under the names of its authors or of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.transformer_layouts.base import TransformerLayout, count_blocks, find, require
from generation.models.transformer_layouts.flux1 import FUSED, SHIFTED, X, derive_common

_LAYERS = "distilled_guidance_layer.layers."
_IN = "distilled_guidance_layer.in_proj.weight"


def _find(shapes: Shapes) -> str:
    if _IN not in shapes:
        return ""
    if any(name.startswith("nerf_") for name in shapes):
        raise IncompatibleFileError("is Chroma Radiance, which paints pixels without a VAE and cannot be used here")
    return "chroma" if find(shapes, FUSED) and find(shapes, X) else ""


def _derive(shapes: Shapes) -> Mapping[str, Any]:
    hidden, channels = require(shapes, (_IN,))
    return {
        "_class_name": "ChromaTransformer2DModel",
        **derive_common(shapes),
        "approximator_num_channels": channels,
        "approximator_hidden_dim": hidden,
        "approximator_layers": count_blocks(shapes, _LAYERS),
    }


LAYOUT = TransformerLayout(families=("chroma",), find=_find, derive=_derive, schedule=SHIFTED)
