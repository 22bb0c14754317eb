"""Transformers in one file whose families are read as folders only: they have several text encoders. No torch."""

from __future__ import annotations

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.transformer_layouts.base import find

_CHROMA = "distilled_guidance_layer.in_proj.weight"
_SD3 = ("joint_blocks.0.x_block.attn.qkv.weight", "transformer_blocks.0.norm1_context.linear.weight")
_FLUX = ("double_blocks.0.img_attn.qkv.weight", "single_transformer_blocks.0.proj_mlp.weight")
_X = ("img_in.weight", "x_embedder.weight")
_REDUX = "redux_up.weight"
_TASKS = {
    384: "FLUX.1 Fill, which sees a mask beside the latents",
    128: "FLUX.1 Canny or Depth, which sees a map beside them",
}
"""What a FLUX.1 is for that takes more channels than the usual 64."""


def require_none(shapes: Shapes) -> None:
    """Raise `IncompatibleFileError` if a file is such a transformer, or of a relative that is not run at all."""
    if any(name.startswith("controlnet_") for name in shapes):
        return
    if _REDUX in shapes:
        raise IncompatibleFileError("is FLUX.1 Redux, which shows pictures to FLUX.1 and cannot be used here")
    if title := _find_title(shapes):
        if task := _TASKS.get((find(shapes, _X) or (0, 0))[-1], ""):
            raise IncompatibleFileError(f"is {task} and cannot be used here")
        problem = f"is {title} in one file, which is read as a folder only"
        raise IncompatibleFileError(problem, "Add its folder in the diffusers layout, as the hub has it: OWNER/NAME.")


def _find_title(shapes: Shapes) -> str:
    if _CHROMA in shapes:
        return "Chroma"
    if find(shapes, _FLUX) and find(shapes, _X):
        return "FLUX.1"
    return "Stable Diffusion 3" if find(shapes, _SD3) else ""
