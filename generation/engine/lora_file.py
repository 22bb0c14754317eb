"""Reads LoRA files of any tool under one set of names, and refuses what does not fit.

Read once, hashed and parsed from the same bytes: what is loaded is what was added. Only the matrices of known kinds are
taken (`generation/models/lora_kinds.py`) and, from what the file says of itself, how to scale them; nothing in it can
choose code to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from generation.engine.errors import AddonUnusableError
from generation.engine.lora_layers import LoraLayer
from generation.engine.lora_tensors import build_change, read_lengths
from generation.models.lora_kinds import measure
from generation.models.lora_layouts import LAYOUTS
from generation.models.lora_layouts.base import FUSED
from generation.models.lora_ldm_names import name_by_diffusers
from generation.models.lora_names import KOHYA, check_settings, read_names, read_scale, read_settings
from generation.requests.prompt_addons import AddedFile, PromptAddon

LoraParts = Mapping[str, Mapping[str, LoraLayer]]
"""Part of the model (`unet`, `transformer`, `text_encoder`, `text_encoder_2`) to layer name to what is added there."""
Shape = tuple[int, ...]


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
        place = names.find(layer)
        shapes_there = [_find_shape(extra, modules.get(place.part), place.part, name) for name in place.names]
        whole = (sum(shape[0] for shape in shapes_there), *shapes_there[0][1:])
        built = _build_layer(extra, each, whole, place.shown, settings)
        for name, rows in zip(place.names, place.cut(shapes_there), strict=True):
            if name in parts.get(place.part, {}):
                raise unusable(extra, f"it changes {place.part}.{name} twice.")
            parts.setdefault(place.part, {})[name] = built if rows is None else _take(extra, built, rows, place.shown)
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


class Place(NamedTuple):
    """Where a layer of a file belongs: in a part of the model, to one layer, or to several that are one in the file."""

    part: str
    names: tuple[str, ...]
    is_swapped: bool = False
    """Whether the file has its second half of rows first, if there are two."""

    @property
    def shown(self) -> str:
        return f"{self.part}.{self.names[0]}"

    def cut(self, shapes: Sequence[Shape]) -> Sequence[Tensor | None]:
        """Return the rows of the file that each layer of the model gets; None for all."""
        if self.is_swapped and shapes[0][0] == 2 * shapes[0][1]:
            return [torch.arange(shapes[0][0]).roll(shapes[0][0] // 2)]
        if len(shapes) == 1:
            return [None]
        return torch.split(torch.arange(sum(shape[0] for shape in shapes)), [shape[0] for shape in shapes])


class LayerNames:
    """Finds layers of a model by the names that LoRA files have for them."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules
        self._by_underscores = {
            part: {name.replace(".", "_"): name for name, _ in module.named_modules()}
            for part, module in modules.items()
        }
        network = type(modules.get("transformer")).__name__
        self._layout = next((layout for layout in LAYOUTS if layout.network == network), None)

    def find(self, layer: str) -> Place:
        """Return the part of the model, and the layer's name in it; a name that is not there as it is."""
        prefix = next((prefix for prefix in KOHYA if layer.startswith(prefix)), None)
        if prefix is None:
            part, _, name = layer.partition(".")
            return Place(part, (self._without_level(part, name, "text_model."),))
        part, name = KOHYA[prefix], layer.removeprefix(prefix)
        if part == "unet" and part in self._modules:
            unet: Any = self._modules[part]
            name = name_by_diffusers(name, unet.config.layers_per_block)
        name, there = self._without_level(part, name, "text_model_"), self._by_underscores.get(part, {})
        if part != "transformer" or self._layout is None:
            return Place(part, (there.get(name, name),))
        better = self._layout.rename(name)
        names = next((_share_out(better, end) for end in FUSED if better.endswith(f"_{end}")), (better,))
        return Place(part, tuple(there.get(each, each) for each in names), self._layout.is_swapped(name))

    def _without_level(self, part: str, name: str, level: str) -> str:
        """Return the name without a level that transformers took out of `CLIPTextModel`, if this one is without."""
        return name if part == "unet" or hasattr(self._modules.get(part), "text_model") else name.removeprefix(level)


def _share_out(name: str, end: str) -> tuple[str, ...]:
    """Return the layers of the model that are one in the file, under a name with one of the ends in `FUSED`."""
    return tuple(name.removesuffix(end) + each for each in FUSED[end])


def _find_shape(extra: PromptAddon, module: nn.Module | None, part: str, name: str) -> Shape:
    """Return the shape of a layer's weight. Raise `InvalidRequestError` if there is none that a LoRA can change."""
    try:
        target = base_layer(module.get_submodule(name)) if module is not None and name else None
    except AttributeError:
        target = None
    if target is None:
        raise unusable(extra, f"it was made for another kind of model, one that has a layer {part}.{name}.")
    if isinstance(target, nn.Linear):  # in blocks or in fp8, its weight may have another shape
        return target.out_features, target.in_features
    if not isinstance(target, nn.Conv2d) or not isinstance(target.weight, Tensor):
        raise unusable(extra, f"it changes {part}.{name}, which LoRA cannot.")
    return tuple(target.weight.shape)


def _build_layer(
    extra: PromptAddon, parts: Mapping[str, Tensor], shape: Shape, shown: str, settings: Mapping[str, Any]
) -> LoraLayer:
    """Return what the tensors of a layer add to it, scaled. Raise `InvalidRequestError` if they do not fit it."""
    gives, takes, rank = measure({part: tuple(tensor.shape) for part, tensor in parts.items()})
    if (gives, takes) != (shape[0], prod(shape[1:])):
        problem = f"it was made for another kind of model: its {shown} is {takes} to {gives}"
        raise unusable(extra, f"{problem}, here it is {prod(shape[1:])} to {shape[0]}.")
    scale = 1.0
    if rank:
        scale = float(parts["alpha"]) / rank if "alpha" in parts else read_scale(settings, shown, rank)
    try:
        layer = LoraLayer(build_change(parts, shape, scale), read_lengths(parts, shape))
    except RuntimeError:
        raise unusable(extra, f"the matrices of its {shown} do not fit the layer.") from None
    if not layer.is_finite():
        raise unusable(extra, f"its {shown} holds numbers that are not finite once they are multiplied.")
    return layer


def _take(extra: PromptAddon, layer: LoraLayer, rows: Tensor, shown: str) -> LoraLayer:
    try:
        return layer.take(rows)
    except RuntimeError:
        why = f"it is a DoRA of columns of {shown} and others in one, which cannot be taken apart."
        raise unusable(extra, why) from None


def base_layer(layer: nn.Module) -> nn.Module:
    """Return the model's own layer, under any adapters that wrap it."""
    inner = getattr(layer, "base_layer", layer)
    return inner if isinstance(inner, nn.Module) else layer
