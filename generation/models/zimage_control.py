"""A ControlNet of Z-Image: what one in a single file is, and the settings that it lacks. No torch.

It has layers of its own beside some of the transformer's, and borrows the rest from the model it is used with. There
are three builds: the first; 2.0, which sees a mask too and refines with its main layers; 2.1, which refines with layers
of its own. A file of 2.0 holds these too, unused and empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.safetensors_header import is_zero

ZIMAGE_CONTROL_CLASS = "ZImageControlNetModel"
FAMILY = "zimage"
_FIRST = "control_all_x_embedder.2-1.weight"
_OWN_REFINER = "control_noise_refiner.0.before_proj.weight"
_NUM_LAYERS, _CHANNELS, _PATCH = 30, 16, 4
"""Of a Z-Image: its layers, over which those of a ControlNet are spread, its latents, and cells to a token."""


def is_zimage_control(shapes: Shapes) -> bool:
    return _FIRST in shapes


def derive_zimage_control(shapes: Shapes, file: Path | None) -> dict[str, Any]:
    """Return the settings of one in a file. Raise `IncompatibleFileError` if its shapes are unknown here."""
    try:
        dim, patch = shapes[_FIRST]
        (head,) = shapes["control_layers.0.attention.norm_q.weight"]
        keys = shapes["control_layers.0.attention.to_k.weight"][0]
        count, refiners = (_count(shapes, f"control_{part}.") for part in ("layers", "noise_refiner"))
        if count > _NUM_LAYERS:
            raise ValueError(f"{count} layers")
        step = _NUM_LAYERS // count
        heads, kept = dim // head, keys // head
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no ControlNet of Z-Image has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Look for it as a folder in the diffusers layout.") from None
    return {
        "_class_name": ZIMAGE_CONTROL_CLASS,
        "control_layers_places": [index * step for index in range(count)],
        "control_refiner_layers_places": list(range(refiners)),
        "control_in_dim": patch // _PATCH,
        "add_control_noise_refiner": _find_refiner(shapes, patch // _PATCH, file),
        "all_patch_size": [2],
        "all_f_patch_size": [1],
        "dim": dim,
        "n_refiner_layers": refiners,
        "n_heads": heads,
        "n_kv_heads": kept,
        "norm_eps": 1e-5,
        "qk_norm": True,
    }


def describe_zimage_settings(settings: Mapping[str, Any]) -> str:
    """Return the family of a folder's ControlNet. Raise `IncompatibleFileError` if its settings cannot be used."""
    places, channels = settings.get("control_layers_places"), settings.get("control_in_dim")
    if not isinstance(places, list) or 0 not in places or not isinstance(channels, int) or channels < _CHANNELS:
        raise IncompatibleFileError("is a ControlNet of Z-Image whose settings cannot be used", "Fetch it again.")
    return FAMILY


def _find_refiner(shapes: Shapes, channels: int, file: Path | None) -> str | None:
    if channels == _CHANNELS:
        return None
    is_own = _OWN_REFINER in shapes and not (file is not None and is_zero(file, _OWN_REFINER))
    return "control_noise_refiner" if is_own else "control_layers"


def _count(shapes: Shapes, prefix: str) -> int:
    found = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return len(found)
