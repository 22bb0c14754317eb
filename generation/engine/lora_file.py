"""Reading a LoRA file: whichever tool wrote it, the same names come out, and what does not fit is refused.

Read once, hashed and parsed from the same bytes: what is loaded is what was added. Only two matrices a layer are
taken and, from what the file says of itself, how to scale them; nothing in it can choose code to run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils.state_dict_utils import (
    StateDictType,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from generation.errors import InvalidRequest
from generation.extras import Extra
from generation.library.kinds import LORA_PARTS

_KOHYA = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_")
_METADATA = "lora_adapter_metadata"
_MATRIX = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """What is added to one layer: `up @ down`, scaled already. A convolution's matrices have its kernel's sides."""

    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])


LoraParts = Mapping[str, Mapping[str, LoraLayer]]
"""Part of the model (`unet`, `text_encoder`, `text_encoder_2`) to layer name to matrices."""


def read_lora(extra: Extra, modules: Mapping[str, nn.Module]) -> LoraParts:
    """The LoRA, checked against the parts of the model it is for. Raises `InvalidRequest` in a sentence."""
    try:
        parts = _parts(_converted(_read(extra), modules["unet"]), modules)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise unusable(extra, f"its layers have names that are not known ({str(error)[:120]}).") from error
    for part, layers in parts.items():
        for name, layer in layers.items():
            _check_layer(extra, modules[part], f"{part}.{name}", name, layer)
    return parts


def read_checked(extra: Extra) -> tuple[bytes, dict[str, Tensor]]:
    """A small safetensors file that is still the one that was added, all numbers finite: its bytes and tensors."""
    try:
        data = extra.path.read_bytes()
    except OSError as error:
        raise unusable(extra, f"its file cannot be read ({type(error).__name__}).") from error
    if hashlib.sha256(data).hexdigest() != extra.sha256:
        raise unusable(extra, "its file has changed since it was added.")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise unusable(extra, "its file is no safetensors file.") from error
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise unusable(extra, f"it holds numbers that are not finite ({name}).")
    return data, tensors


def unusable(extra: Extra, why: str) -> InvalidRequest:
    return InvalidRequest(what=f"“{extra.name}”", problem=f"cannot be used: {why}")


def _read(extra: Extra) -> dict[str, Tensor]:
    """Tensors in float32, scaled by what the file says: kohya's alphas, or the settings PEFT was given."""
    data, tensors = read_checked(extra)
    for name in tensors:
        if not LORA_PARTS.match(name):
            raise unusable(extra, f"it holds {name}; only plain LoRA are read, no DoRA, LoHa, LoKr or the like.")
    settings = _settings(extra, data)
    scaled: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, part = LORA_PARTS.match(name).group("layer", "part")  # type: ignore[union-attr]
        if part == "alpha":
            continue
        scaled[name] = tensor.float()
        if part.removesuffix(".weight").endswith(("up", "lora_B")):
            alpha = tensors.get(f"{layer}.alpha")
            rank = tensor.shape[1]
            scaled[name] *= _scale(settings, layer, rank) if alpha is None else float(alpha) / rank
    return scaled


def _settings(extra: Extra, data: bytes) -> dict[str, Any]:
    """What PEFT wrote into the header, as `part.setting`; most files have nothing there."""
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_METADATA, "{}")
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        raise unusable(extra, "what it says of itself cannot be read.") from None
    if not isinstance(settings, dict) or any(
        value and name.rsplit(".", 1)[-1] in ("use_dora", "use_rslora", "lora_bias") for name, value in settings.items()
    ):
        raise unusable(extra, "only plain LoRA are read, no DoRA or rank-stabilised ones.")
    return settings


def _scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    part, _, name = layer.partition(".")
    alpha = settings.get(f"{part}.lora_alpha")
    pattern = settings.get(f"{part}.alpha_pattern")
    if isinstance(pattern, dict):
        alpha = next((value for key, value in pattern.items() if name.endswith(key.removeprefix("^"))), alpha)
    return float(alpha) / rank if isinstance(alpha, int | float) else 1.0


def _converted(tensors: dict[str, Tensor], unet: Any) -> dict[str, Tensor]:
    """Names as PEFT has them, whichever tool wrote the file; diffusers knows kohya's."""
    if all(name.startswith(_KOHYA) for name in tensors):
        tensors, _ = StableDiffusionLoraLoaderMixin.lora_state_dict(tensors, unet_config=unet.config)
    unet_side = {name: tensor for name, tensor in tensors.items() if name.startswith("unet.")}
    text_side = {name: tensor for name, tensor in tensors.items() if not name.startswith("unet.")}
    if any("_lora." in name for name in text_side):
        text_side = convert_state_dict_to_peft(text_side, StateDictType.DIFFUSERS_OLD)
    elif any(".lora_linear_layer." in name for name in text_side):
        text_side = convert_state_dict_to_peft(text_side, StateDictType.DIFFUSERS)
    converted: dict[str, Tensor] = convert_unet_state_dict_to_peft(unet_side) | text_side
    return converted


def _parts(tensors: Mapping[str, Tensor], modules: Mapping[str, nn.Module]) -> LoraParts:
    sides: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        found = _MATRIX.fullmatch(rest)
        if found is None or part not in modules:
            raise ValueError(name)
        layer = found["layer"]
        if part != "unet" and not hasattr(modules[part], "text_model"):
            layer = layer.removeprefix("text_model.")  # transformers took that level out of CLIPTextModel
        sides.setdefault(part, {}).setdefault(layer, {})[found["side"]] = tensor
    return {
        part: {layer: LoraLayer(down=pair["A"], up=pair["B"]) for layer, pair in layers.items()}
        for part, layers in sides.items()
    }


def _check_layer(extra: Extra, module: nn.Module, shown: str, name: str, layer: LoraLayer) -> None:
    try:
        target = base_layer(module.get_submodule(name))
    except AttributeError:
        raise unusable(extra, f"it was made for another kind of model, one that has a layer {shown}.") from None
    weight = target.weight
    if not isinstance(target, nn.Linear | nn.Conv2d) or not isinstance(weight, Tensor):
        raise unusable(extra, f"it changes {shown}, which LoRA cannot.")
    takes, gives = layer.down.shape[1], layer.up.shape[0]
    if (gives, takes) != tuple(weight.shape[:2]):
        problem = f"it was made for another kind of model: its {shown} is {takes} to {gives}"
        raise unusable(extra, f"{problem}, here it is {weight.shape[1]} to {weight.shape[0]}.")
    fits = layer.up.shape[1] == layer.rank and layer.down.shape[2:] == weight.shape[2:]
    if not fits or any(side != 1 for side in layer.up.shape[2:]) or layer.up.dim() != weight.dim():
        raise unusable(extra, f"the two matrices of its {shown} do not fit each other.")


def base_layer(layer: nn.Module) -> nn.Module:
    """The model's own layer, under whatever adapters were put around it."""
    inner = getattr(layer, "base_layer", layer)
    return inner if isinstance(inner, nn.Module) else layer
