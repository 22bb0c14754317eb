"""What a T2I-Adapter is for, and the settings that one in a single file lacks, told from names and shapes. No torch.

Two sets of names are read: those of diffusers (`adapter.body.0.resnets.1…`), with or without their prefix, and those of
the first T2I-Adapters (`body.1…`, two blocks a level), the light ones too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.control_layout import count_numbers

ADAPTER_CLASS = "T2IAdapter"
_PREFIX, _FIRST_BLOCK = "adapter.", "body.0.resnets.0.block1.weight"
_FIRST_FULL = re.compile(r"body\.(\d+)\.(block[12]\..*|in_conv\..*)")
_FIRST_LIGHT = re.compile(r"(body\.\d+)\.body\.(\d+\.)")
_BLOCKS_A_LEVEL = 2
"""Of the first full ones: their blocks are counted through all levels."""
_INPUTS = {64: (8, 1), 192: (8, 3), 256: (16, 1), 768: (16, 3)}
"""Pixels that become one, along a side, and the colours of a picture, by the channels that come of both."""
_FAMILIES = {("full_adapter", 8): "sd", ("light_adapter", 8): "sd", ("full_adapter_xl", 16): "sdxl"}
_WIDTHS, _USUAL = {"sd": 768, "sdxl": 2048}, [320, 640, 1280]
"""Stable Diffusion 2 has blocks of the same sizes, and no T2I-Adapters."""
_REMEDY = "T2I-Adapters of Stable Diffusion 1 and XL are run here."
T = TypeVar("T")


def take_adapter(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return the tensors of a file by diffusers' names, without the prefix."""
    plain = {name.removeprefix(_PREFIX): each for name, each in tensors.items()}
    if any(re.match(r"body\.\d+\.block1\.", name) for name in plain):
        return {_FIRST_FULL.sub(_name_full, name): each for name, each in plain.items()}
    return {_FIRST_LIGHT.sub(r"\1.resnets.\2", name): each for name, each in plain.items()}


def _name_full(match: re.Match[str]) -> str:
    level, block = divmod(int(match[1]), _BLOCKS_A_LEVEL)
    return f"body.{level}.{match[2]}" if match[2].startswith("in_conv") else f"body.{level}.resnets.{block}.{match[2]}"


def name_whole(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return them as the class of diffusers names them."""
    return {_PREFIX + name: each for name, each in take_adapter(tensors).items()}


def is_adapter(shapes: Shapes) -> bool:
    """Return whether a file holds a T2I-Adapter."""
    return _FIRST_BLOCK in take_adapter(shapes)


def describe_adapter_settings(settings: Mapping[str, Any]) -> tuple[str, int]:
    """Return the family of the models that a T2I-Adapter with these settings is for, and how wide their prompts are.

    It reads none, so that is known of those of the usual size only. Raise `IncompatibleFileError` for other kinds.
    """
    kind = (settings.get("adapter_type", "full_adapter"), settings.get("downscale_factor", 8))
    family = _FAMILIES.get(kind) if isinstance(kind[0], str) and isinstance(kind[1], int) else None
    if family is None:
        raise IncompatibleFileError("is a T2I-Adapter of another kind of model", _REMEDY)
    if settings.get("in_channels", 3) not in (1, 3):
        raise IncompatibleFileError("is a T2I-Adapter that takes no picture of one or three colours", _REMEDY)
    channels = settings.get("channels")
    return family, _WIDTHS[family] if isinstance(channels, list) and channels[:3] == _USUAL else 0


def derive_adapter_settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of a T2I-Adapter in one file. Raise `IncompatibleFileError` if its shape is unknown here."""
    own = take_adapter(shapes)
    is_light = "conv_in.weight" not in own
    try:
        inputs = own["body.0.in_conv.weight" if is_light else "conv_in.weight"][1]
        factor, channels_in = _INPUTS[inputs]
        last = "out_conv" if is_light else "resnets.0.block1"
        widths = [own[f"body.{level}.{last}.weight"][0] for level in range(count_numbers(own, "body."))]
    except (LookupError, ValueError) as error:
        problem = f"has names or shapes that no T2I-Adapter here has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Look for it as a folder in the diffusers layout.") from None
    full = "full_adapter" if factor == min(_INPUTS.values())[0] else "full_adapter_xl"
    return {
        "_class_name": ADAPTER_CLASS,
        "adapter_type": "light_adapter" if is_light else full,
        "channels": widths[:-1] if is_light else widths,
        "downscale_factor": factor,
        "in_channels": channels_in,
        "num_res_blocks": count_numbers(own, "body.0.resnets."),
    }
