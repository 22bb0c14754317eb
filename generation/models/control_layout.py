"""What a ControlNet is for, and the settings that one in a single file lacks, told from names and shapes. No torch.

Two sets of names are read: those of the first ControlNets (`control_model.input_blocks…`, or without that prefix), and
those of diffusers (`controlnet_cond_embedding…`). A ControlNet Union has those of diffusers, and a few of its own. What
else is called a ControlNet is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from generation.models.checkpoint import LATENT_CHANNELS, IncompatibleFileError, Shapes

SETTINGS = "controlnet"
"""The folder of a ControlNet's settings in those of a single file."""
CONTROL_CLASS, UNION_CLASS = "ControlNetModel", "ControlNetUnionModel"
_PREFIX = "control_model."
_TASKS = "task_embedding"
"""What only a Union has: a row for each kind of map."""
_FIRST_NAME, _DIFFUSERS_NAME = "input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight"
_OTHERS = (
    (r"lora_controlnet", "a Control-LoRA, which is not a whole ControlNet"),
    (r"difference", "a ControlNet that holds differences to a model, not weights"),
    (r"(controlnet_x_embedder|controlnet_blocks|control_layers|pos_embed_input)", "a ControlNet of another family"),
    (r"style_embedding", "a T2I-Adapter for the style of a picture"),
    (r"spatial_feat_mapping", "the part that joins T2I-Adapters"),
)
"""What does the work of a ControlNet and is none that is run here, by the names in it."""
OTHER_CLASSES = {
    "ControlNetXSAdapter": "a ControlNet-XS",
    "SparseControlNetModel": "a ControlNet for motion pictures",
    **dict.fromkeys(
        ("FluxControlNetModel", "SD3ControlNetModel", "QwenImageControlNetModel"),
        _OTHERS[2][1],
    ),
}
"""The same by the class that a folder's settings name."""
_REMEDY = "ControlNets of Stable Diffusion 1, 2 and XL and of Z-Image are run here."
_HEADS_SD1, _HEADS_UNION, _HEAD_WIDTH, _XL_ADDED, _XL_TIME, _XL_WIDTH = 8, 8, 64, 2816, 256, 2048
T = TypeVar("T")


class _Level(NamedTuple):
    width: int
    blocks: int
    depth: int
    """Transformer blocks in each of its attentions; 0 where it has none."""


def other_control(shapes: Shapes) -> str:
    """Return what a file is that does the work of a ControlNet and cannot be run here; empty for all else."""
    found = (what for pattern, what in _OTHERS if any(re.match(rf"({_PREFIX})?{pattern}\b", name) for name in shapes))
    return next(found, "")


def require_other(what: str) -> None:
    """Raise `IncompatibleFileError` if `what` is anything."""
    if what:
        raise IncompatibleFileError(f"is {what}, which cannot be used here", _REMEDY)


def is_control(shapes: Shapes) -> bool:
    """Return whether a file holds a ControlNet, perhaps beside a whole model, as the first ones do."""
    return any(name in shapes for name in (_PREFIX + _FIRST_NAME, _FIRST_NAME, _DIFFUSERS_NAME))


def count_modes(shapes: Shapes) -> int:
    """Return the kinds of maps that a Union knows; 0 for any other ControlNet."""
    return next(iter(take_control(shapes).get(_TASKS, (0,))))


def take_control(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return the ControlNet's own of a file's tensors."""
    own = {name.removeprefix(_PREFIX): each for name, each in tensors.items() if name.startswith(_PREFIX)}
    return own or dict(tensors)


def describe_control(shapes: Shapes) -> tuple[str, int]:
    """Return the family of a ControlNet's models and how wide the prompts are that they read (0: it reads none).

    Raise `IncompatibleFileError` if it is of none.
    """
    own = take_control(shapes)
    first = own.get("input_blocks.0.0.weight") or own.get("conv_in.weight") or (0, 0)
    if first[1:2] != (LATENT_CHANNELS,):
        raise IncompatibleFileError(f"is a ControlNet whose latents have {first[1:2]} channels", _REMEDY)
    width = _read_width(own)
    is_xl = any(name.startswith(("label_emb.", "add_embedding.")) for name in own)
    _require_xl(is_xl, is_union=_TASKS in own)
    return "sdxl" if is_xl else "sd", width


def _require_xl(is_xl: bool, *, is_union: bool) -> None:
    if is_union and not is_xl:
        raise IncompatibleFileError("is a ControlNet Union of another model than Stable Diffusion XL", _REMEDY)


def describe_settings(settings: Mapping[str, Any]) -> tuple[str, int]:
    """Return the same of a folder's `config.json`. Raise `IncompatibleFileError` for one that takes other inputs."""
    if (channels := settings.get("in_channels", LATENT_CHANNELS)) != LATENT_CHANNELS:
        raise IncompatibleFileError(f"is a ControlNet whose latents have {channels} channels", _REMEDY)
    embeds, width = settings.get("addition_embed_type"), settings.get("cross_attention_dim", 1280)
    more = [name for name in ("encoder_hid_dim", "class_embed_type", "num_class_embeds") if settings.get(name)]
    if embeds not in (None, "text_time") or more or not isinstance(width, int):
        raise IncompatibleFileError("is a ControlNet that takes other inputs than models here have", _REMEDY)
    if settings.get("conditioning_channels", 3) != 3:
        raise IncompatibleFileError("is a ControlNet that takes no picture of three colours", _REMEDY)
    _require_xl(embeds is not None, is_union=settings.get("_class_name") == UNION_CLASS)
    return "sdxl" if embeds else "sd", width


def derive_control_settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of a ControlNet in one file. Raise `IncompatibleFileError` if its shape is unknown here."""
    own = take_control(shapes)
    try:
        return _derive(own, *(_read_first_names(own) if _FIRST_NAME in own else _read_diffusers_names(own)))
    except (LookupError, ValueError) as error:
        problem = f"has names or shapes that no ControlNet here has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Look for it as a folder in the diffusers layout.") from None


def _derive(own: Shapes, levels: list[_Level], middle: int, hint: list[int]) -> dict[str, Any]:
    context = _read_width(own)
    is_linear = any(re.search(r"\.proj_in\.weight$", name) and len(shape) == 2 for name, shape in own.items())
    settings: dict[str, Any] = {
        "_class_name": CONTROL_CLASS,
        "block_out_channels": [level.width for level in levels],
        "layers_per_block": levels[0].blocks,
        "down_block_types": ["CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "transformer_layers_per_block": [max(1, level.depth) for level in levels],
        "cross_attention_dim": context or _XL_WIDTH,
        "attention_head_dim": [_HEADS_SD1 if not is_linear else max(1, each.width // _HEAD_WIDTH) for each in levels],
        "use_linear_projection": is_linear,
        "conditioning_embedding_out_channels": hint,
    }
    added = own.get("label_emb.0.0.weight") or own.get("add_embedding.linear_1.weight")
    if added is not None:
        if added[1] != _XL_ADDED:
            raise ValueError(f"{added[1]} added inputs")
        settings |= {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": added[1]}
        settings["addition_time_embed_dim"] = _XL_TIME
    return _derive_union(own, settings) if _TASKS in own else settings


def _derive_union(own: Shapes, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a Union, whose middle always attends to words, from those of a ControlNet."""
    modes, width = own[_TASKS]
    return {name: value for name, value in settings.items() if name != "mid_block_type"} | {
        "_class_name": UNION_CLASS,
        "num_control_type": modes,
        "num_trans_channel": width,
        "num_trans_head": _HEADS_UNION,
        "num_trans_layer": count_numbers(own, "transformer_layes."),
        "num_proj_channel": own["spatial_ch_projs.weight"][0],
    }


def _read_first_names(own: Shapes) -> tuple[list[_Level], int, list[int]]:
    levels, index = [_Level(0, 0, 0)], 1
    while any(f"input_blocks.{index}.0.{part}" in own for part in ("in_layers.2.weight", "op.weight")):
        block = own.get(f"input_blocks.{index}.0.in_layers.2.weight")
        if block is None:
            levels.append(_Level(levels[-1].width, 0, 0))
        else:
            depth = count_numbers(own, f"input_blocks.{index}.1.transformer_blocks.")
            levels[-1] = _Level(block[0], levels[-1].blocks + 1, max(levels[-1].depth, depth))
        index += 1
    hint = [own[f"input_hint_block.{place}.weight"][0] for place in (0, 4, 8, 12)]
    return levels, count_numbers(own, "middle_block.1.transformer_blocks."), hint


def _read_diffusers_names(own: Shapes) -> tuple[list[_Level], int, list[int]]:
    levels = []
    for index in range(count_numbers(own, "down_blocks.")):
        block = f"down_blocks.{index}."
        width = own[f"{block}resnets.0.conv1.weight"][0]
        depth = count_numbers(own, f"{block}attentions.0.transformer_blocks.")
        levels.append(_Level(width, count_numbers(own, f"{block}resnets."), depth))
    steps = range(1, count_numbers(own, "controlnet_cond_embedding.blocks."), 2)
    hint = [own[_DIFFUSERS_NAME][0], *(own[f"controlnet_cond_embedding.blocks.{step}.weight"][0] for step in steps)]
    return levels, count_numbers(own, "mid_block.attentions.0.transformer_blocks."), hint


def _read_width(own: Shapes) -> int:
    return max((shape[-1] for name, shape in own.items() if name.endswith(".attn2.to_k.weight")), default=0)


def count_numbers(shapes: Shapes, prefix: str) -> int:
    """Return how many numbers follow `prefix` in the names, counted from 0."""
    found = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return max((int(number) + 1 for number in found if number.isdecimal()), default=0)
