"""Reads LoRA files of any tool under one set of names, and refuses what does not fit.

Read once, hashed and parsed from the same bytes: what is loaded is what was added. Only the matrices of known kinds are
taken (`generation/models/lora_kinds.py`) and, from what the file says of itself, how to scale them; nothing in it can
choose code to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from generation.engine.errors import AddonUnusableError
from generation.engine.lora_layers import LoraLayer
from generation.engine.lora_tensors import build_change, read_lengths
from generation.models.lora_kinds import measure
from generation.models.lora_ldm_names import name_by_diffusers
from generation.models.lora_names import KOHYA, check_settings, read_names, read_scale, read_settings
from generation.requests.prompt_addons import AddedFile, PromptAddon

LoraParts = Mapping[str, Mapping[str, LoraLayer]]
"""Part of the model (`unet`, `text_encoder`, `text_encoder_2`) to layer name to what is added there."""


def read_lora(extra: PromptAddon, modules: Mapping[str, nn.Module]) -> LoraParts:
    """Return the LoRA, checked against the parts of the model it is for. Raise `InvalidRequestError` if it does not
    fit."""
    data, tensors = read_checked(extra)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        read = read_names(shapes)
        settings = read_settings(_read_metadata(data))
        check_settings(settings, read)
    except ValueError as error:
        raise unusable(extra, f"it {error}.") from None
    layers: dict[str, dict[str, Tensor]] = {}
    for name, (layer, part) in read.items():
        layers.setdefault(layer, {})[part] = tensors[name].float()
    names, parts = LayerNames(modules), dict[str, dict[str, LoraLayer]]()
    for layer, each in layers.items():
        part, name = names.find(layer)
        weight = _find_weight(extra, modules.get(part), f"{part}.{name}", name)
        parts.setdefault(part, {})[name] = _build_layer(extra, each, weight, f"{part}.{name}", settings)
    return parts


def read_checked(extra: AddedFile) -> tuple[bytes, dict[str, Tensor]]:
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


def unusable(extra: AddedFile, why: str) -> AddonUnusableError:
    return AddonUnusableError(name=extra.name, why=why)


def _read_metadata(data: bytes) -> Mapping[str, str]:
    """Return the free text of a safetensors header."""
    length = int.from_bytes(data[:8], "little")
    metadata: Mapping[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata


class LayerNames:
    """Finds layers of a model by the names that LoRA files have for them."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules
        self._by_underscores = {
            part: {name.replace(".", "_"): name for name, _ in module.named_modules()}
            for part, module in modules.items()
        }

    def find(self, layer: str) -> tuple[str, str]:
        """Return the part of the model, and the layer's name in it; a name that is not there as it is."""
        prefix = next((prefix for prefix in KOHYA if layer.startswith(prefix)), None)
        if prefix is None:
            part, _, name = layer.partition(".")
            return part, self._without_level(part, name, "text_model.")
        part, name = KOHYA[prefix], layer.removeprefix(prefix)
        if part == "unet" and part in self._modules:
            unet: Any = self._modules[part]
            name = name_by_diffusers(name, unet.config.layers_per_block)
        name = self._without_level(part, name, "text_model_")
        return part, self._by_underscores.get(part, {}).get(name, name)

    def _without_level(self, part: str, name: str, level: str) -> str:
        """Return the name without a level that transformers took out of `CLIPTextModel`, if this one is without."""
        return name if part == "unet" or hasattr(self._modules.get(part), "text_model") else name.removeprefix(level)


def _find_weight(extra: PromptAddon, module: nn.Module | None, shown: str, name: str) -> Tensor:
    """Return the weight of the model's layer. Raise `InvalidRequestError` if there is none that a LoRA can change."""
    try:
        target = base_layer(module.get_submodule(name)) if module is not None and name else None
    except AttributeError:
        target = None
    if target is None:
        raise unusable(extra, f"it was made for another kind of model, one that has a layer {shown}.")
    if not isinstance(target, nn.Linear | nn.Conv2d) or not isinstance(target.weight, Tensor):
        raise unusable(extra, f"it changes {shown}, which LoRA cannot.")
    return target.weight


def _build_layer(
    extra: PromptAddon, parts: Mapping[str, Tensor], weight: Tensor, shown: str, settings: Mapping[str, Any]
) -> LoraLayer:
    """Return what the tensors of a layer add to it, scaled. Raise `InvalidRequestError` if they do not fit it."""
    gives, takes, rank = measure({part: tuple(tensor.shape) for part, tensor in parts.items()})
    if (gives, takes) != (weight.shape[0], prod(weight.shape[1:])):
        problem = f"it was made for another kind of model: its {shown} is {takes} to {gives}"
        raise unusable(extra, f"{problem}, here it is {prod(weight.shape[1:])} to {weight.shape[0]}.")
    scale = 1.0
    if rank:
        scale = float(parts["alpha"]) / rank if "alpha" in parts else read_scale(settings, shown, rank)
    try:
        layer = LoraLayer(build_change(parts, tuple(weight.shape), scale), read_lengths(parts, tuple(weight.shape)))
    except RuntimeError:
        raise unusable(extra, f"the matrices of its {shown} do not fit the layer.") from None
    if not layer.is_finite():
        raise unusable(extra, f"its {shown} holds numbers that are not finite once they are multiplied.")
    return layer


def base_layer(layer: nn.Module) -> nn.Module:
    """Return the model's own layer, under any adapters that wrap it."""
    inner = getattr(layer, "base_layer", layer)
    return inner if isinstance(inner, nn.Module) else layer
