"""What a checkpoint in one file is, told from the names and shapes in its header. No torch.

Raise `IncompatibleFileError` for what cannot be painted with: it names what the file is, and what would help.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from generation.models.families import RUN_HERE
from generation.program import format_command

UNET = "model.diffusion_model."
VAE = "first_stage_model."
Shapes = Mapping[str, tuple[int, ...]]

_OTHERS = (
    (r"joint_blocks\.\d", "a model of Stable Diffusion 3"),
    (r"(double|single)_blocks\.\d", "a model of Flux or of its kind"),
    (r"cap_embedder\.", "a model of Z-Image or Lumina"),
    (r"txt_in\.", "a model of Qwen-Image or of its kind"),
    (r"control_model\.|controlnet_|control_layers\.|input_hint_block\.", "a ControlNet"),
    (r"ip_adapter\.|image_proj\.", "an IP-Adapter"),
    (r"adapter\.(body|conv_in)\.", "a T2I-Adapter"),
    (r"motion_modules?\.", "a motion module"),
    (r"quant_conv\.|taesd", "a part of a VAE"),
    (r"(down_blocks|input_blocks)\.\d", "a UNet alone, without text encoder and VAE"),
)
"""What else people download as .safetensors, by the names in it; the first that is found says what it is."""
_TASKS = {
    8: "a model that changes pictures by instructions",
    7: "an enlarging model",
    5: "a model that follows depth",
}
"""What a UNet is for that takes more channels than latents have."""
_TEXT = {
    "sd": (("text_encoder", r"cond_stage_model\.(transformer|model)\."),),
    "sdxl": (
        ("text_encoder", r"conditioner\.embedders\.0\.transformer\."),
        ("text_encoder_2", r"conditioner\.embedders\.1\.model\."),
    ),
}
_CONTEXT = re.compile(re.escape(UNET) + r".+\.attn2\.to_k\.weight")
LATENT_CHANNELS = 4
INPAINTING_CHANNELS = 9
"""What the UNet of an inpainting model takes: latents, a mask, and the latents of the picture that stays."""


class IncompatibleFileError(ValueError):
    """Why a file cannot be used, to follow its name in a sentence, and what helps, in a sentence of its own."""

    def __init__(self, problem: str, remedy: str = RUN_HERE) -> None:
        super().__init__(problem)
        self.remedy = remedy


def is_checkpoint(shapes: Shapes) -> bool:
    """Return whether the file holds a network that paints, whatever kind of it."""
    return any(name.startswith(UNET) for name in shapes)


def other_kind(shapes: Shapes) -> str:
    """Return what the file is instead of a model that is run here; empty where that is not known."""
    found = (what for pattern, what in _OTHERS if any(re.search(rf"(^|\.|_){pattern}", name) for name in shapes))
    return next(found, "")


def family_of(shapes: Shapes) -> str:
    """Return the engine's family of a checkpoint. Raise `IncompatibleFileError` if it is of none."""
    first = shapes.get(f"{UNET}input_blocks.0.0.weight")
    if first is None:
        raise IncompatibleFileError(f"is {other_kind(shapes) or 'a model of another kind'}, which cannot be used here")
    if any(name.startswith("conditioner.embedders.0.model.") for name in shapes):
        raise IncompatibleFileError(
            "is the refiner of Stable Diffusion XL, which cannot paint by itself", "Add the base model."
        )
    require_usable_unet(first[1] if len(first) > 1 else 0)
    is_xl = any(name.startswith(("conditioner.embedders.", f"{UNET}label_emb.")) for name in shapes)
    return "sdxl" if is_xl else "sd"


def context_width(shapes: Shapes) -> int:
    """Return how many numbers a token the UNet reads from the prompt; 0 where no name tells."""
    return max((shape[-1] for name, shape in shapes.items() if _CONTEXT.fullmatch(name)), default=0)


def require_usable_unet(channels: object) -> None:
    """Raise `IncompatibleFileError` unless a UNet takes latents, alone or with a mask, in its channels."""
    if channels in (LATENT_CHANNELS, INPAINTING_CHANNELS):
        return
    task = _TASKS.get(channels, "a model for another task") if isinstance(channels, int) else "a model for another task"
    problem = f"is {task}: its UNet takes {channels} channels, and latents have {LATENT_CHANNELS}"
    raise IncompatibleFileError(problem, "Such models cannot be used yet; add the ordinary one it was made from.")


def require_parts(shapes: Shapes, family: str, *, has_other_vae: bool = False) -> None:
    """Raise `IncompatibleFileError` unless the file holds the text encoders and the VAE of its family."""
    for part, names in _TEXT[family]:
        if text_shape(shapes, family, part) is None:
            which = "second text encoder" if part.endswith("_2") else "text encoder"
            problem = f"holds no {which} that is known here ({names.replace(chr(92), '')})"
            raise IncompatibleFileError(
                problem, "Look for the whole checkpoint; one without a text encoder paints no prompt."
            )
    decoder = shapes.get(f"{VAE}decoder.conv_in.weight")
    if has_other_vae:
        return
    if decoder is None:
        raise IncompatibleFileError(
            "holds no VAE", f"Add a VAE first ({format_command('models add FILE')}), and this with --vae NAME."
        )
    if decoder[1:2] != (LATENT_CHANNELS,):
        raise IncompatibleFileError(f"holds a VAE of {decoder[1:2]} latent channels, not {LATENT_CHANNELS}")


def text_prefix(shapes: Shapes, family: str, part: str) -> str:
    """Return what the names of a text encoder begin with in the file; empty if it is not there."""
    pattern = re.compile(dict(_TEXT[family])[part])
    return next((found[0] for name in shapes if (found := pattern.match(name))), "")


def text_shape(shapes: Shapes, family: str, part: str) -> tuple[int, ...] | None:
    """Return (words, width) of a text encoder in the file; None if it is not there."""
    pattern = dict(_TEXT[family])[part]
    found = (
        shape
        for name, shape in shapes.items()
        if name.endswith("token_embedding.weight") and re.match(pattern, name) and len(shape) == 2
    )
    return next(found, None)
