"""Reads LoRA files of any tool under one set of names, and refuses what does not fit.

Read once, hashed and parsed from the same bytes: what is loaded is what was added. Only two matrices a layer are
taken and, from what the file says of itself, how to scale them; nothing in it can choose code to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from generation.engine.errors import AddonUnusableError
from generation.models.lora_names import KOHYA, read_name, read_names, read_settings
from generation.requests.prompt_addons import PromptAddon


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


def read_lora(extra: PromptAddon, modules: Mapping[str, nn.Module]) -> LoraParts:
    """Return the LoRA, checked against the parts of the model it is for. Raise `InvalidRequestError` if it does not
    fit."""
    matrices = _read(extra)
    try:
        parts = _parts(_converted(matrices, modules["unet"]), modules)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise unusable(extra, f"its layers have names that are not known ({str(error)[:120]}).") from error
    for part, layers in parts.items():
        for name, layer in layers.items():
            _check_layer(extra, modules[part], f"{part}.{name}", name, layer)
    return parts


def read_checked(extra: PromptAddon) -> tuple[bytes, dict[str, Tensor]]:
    """Return the bytes and tensors of a small safetensors file, checked: unchanged since it was added, and finite."""
    try:
        data = extra.path.read_bytes()
    except OSError as error:
        raise unusable(extra, f"its file cannot be read ({type(error).__name__}).") from error
    if hashlib.sha256(data).hexdigest() != extra.sha256:
        raise unusable(extra, "its file has changed since it was added.")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise unusable(extra, "its file is not a safetensors file.") from error
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise unusable(extra, f"it holds numbers that are not finite ({name}).")
    return data, tensors


def unusable(extra: PromptAddon, why: str) -> AddonUnusableError:
    return AddonUnusableError(name=extra.name, why=why)


def _read(extra: PromptAddon) -> dict[str, Tensor]:
    """Return float32 matrices by layer and side, scaled as the file says: kohya's alphas, or PEFT's settings."""
    data, tensors = read_checked(extra)
    try:
        read = read_names({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        settings = read_settings(_read_metadata(data))
    except ValueError as error:
        raise unusable(extra, f"it {error}.") from None
    alphas = {layer: float(tensors[name]) for name, (layer, part) in read.items() if part == "alpha"}
    scaled: dict[str, Tensor] = {}
    for name, (layer, part) in read.items():
        if part == "alpha":
            continue
        matrix = tensors[name].float()
        if part == "up":
            rank = matrix.shape[1]
            matrix = matrix * (alphas[layer] / rank if layer in alphas else _read_scale(settings, layer, rank))
        scaled[f"{layer}.lora_{part}.weight"] = matrix
    return scaled


def _read_metadata(data: bytes) -> Mapping[str, str]:
    """Return the free text of a safetensors header."""
    length = int.from_bytes(data[:8], "little")
    metadata: Mapping[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata


def _read_scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    part, _, name = layer.partition(".")
    alpha = settings.get(f"{part}.lora_alpha")
    pattern = settings.get(f"{part}.alpha_pattern")
    if isinstance(pattern, dict):
        alpha = next((value for key, value in pattern.items() if name.endswith(key.removeprefix("^"))), alpha)
    return float(alpha) / rank if isinstance(alpha, int | float) else 1.0


def _converted(tensors: dict[str, Tensor], unet: Any) -> dict[str, Tensor]:
    """Return the tensors by the model's own layer names: diffusers knows what kohya's underscores stand for."""
    if all(name.startswith(KOHYA) for name in tensors):
        tensors, _ = StableDiffusionLoraLoaderMixin.lora_state_dict(tensors, unet_config=unet.config)
    return tensors


def _parts(tensors: Mapping[str, Tensor], modules: Mapping[str, nn.Module]) -> LoraParts:
    sides: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        found = read_name(name)
        part, _, layer = found.layer.partition(".") if found is not None else ("", "", "")
        if found is None or part not in modules:
            raise ValueError(name)
        if part != "unet" and not hasattr(modules[part], "text_model"):
            layer = layer.removeprefix("text_model.")  # transformers took that level out of CLIPTextModel
        sides.setdefault(part, {}).setdefault(layer, {})[found.part] = tensor
    return {
        part: {layer: LoraLayer(down=pair["down"], up=pair["up"]) for layer, pair in layers.items()}
        for part, layers in sides.items()
    }


def _check_layer(extra: PromptAddon, module: nn.Module, shown: str, name: str, layer: LoraLayer) -> None:
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
    """Return the model's own layer, under any adapters that wrap it."""
    inner = getattr(layer, "base_layer", layer)
    return inner if isinstance(inner, nn.Module) else layer
