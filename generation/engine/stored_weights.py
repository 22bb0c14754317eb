"""Weights that stay in fp8 and are multiplied out layer by layer, each time they are used.

A row's numbers depend on the row and the weights alone, as with whole weights, so pictures are replayed to the byte.
Layers that diffusers names as sensitive, and all that are neither linear nor a table of words, are kept in the device's
format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from torch import Tensor, nn
from transformers import PreTrainedModel

from generation.progress import advance

VERSION = "1"
"""Of how weights are rounded and multiplied out: part of the fingerprint."""
FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_MOST = torch.finfo(torch.float8_e4m3fn).max


class StoredLinear(nn.Linear):
    """A linear layer with its weights in fp8, and a scale (rows, 1) for them or none."""

    def __init__(self, weight: Tensor, scale: Tensor | None, bias: nn.Parameter | None) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale: Tensor | None
        self.register_buffer("scale", scale, persistent=False)
        self.register_parameter("bias", bias)

    @property
    def kept_as(self) -> str:
        return _describe_format(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.multiply_out(input.dtype), self.bias)

    def multiply_out(self, dtype: torch.dtype) -> Tensor:
        return multiply_out(self.weight, self.scale, dtype)


def whole_weight(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return the weight of a layer in `dtype`, however it is kept."""
    whole: Tensor = layer.multiply_out(dtype) if hasattr(layer, "multiply_out") else layer.weight.detach().to(dtype)
    return whole


class StoredEmbedding(nn.Embedding):
    """A table of words in fp8, and a scale (rows, 1) for it or none. Only the rows that are read are multiplied out."""

    def __init__(self, weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = weight.shape
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale: Tensor | None
        self.register_buffer("scale", scale, persistent=False)
        self._dtype = dtype

    @property
    def kept_as(self) -> str:
        return _describe_format(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        rows = self.weight.view(torch.uint8)[input].view(self.weight.dtype)  # not every device picks rows of fp8
        return multiply_out(rows, None if self.scale is None else self.scale[input], self._dtype)


def _describe_format(weight: Tensor) -> str:
    """Return how weights are kept, and the version of what multiplies them out."""
    return f"{str(weight.dtype).removeprefix('torch.')} {VERSION}"


def multiply_out(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return weights in `dtype`, scaled in float32 and rounded once."""
    return weight.to(dtype) if scale is None else (weight.float() * scale).to(dtype)


def is_finite(weight: Tensor) -> bool:
    """Return whether all numbers are; fp8 is judged by its bits."""
    if is_in_blocks(weight):  # their scales were looked at when they were added
        return True
    if weight.dtype not in FP8:
        return bool(torch.isfinite(weight).all())
    ones = 0x7F if weight.dtype is torch.float8_e4m3fn else 0x7C
    return not bool(((weight.view(torch.uint8) & ones) == ones).any())


def is_in_blocks(weight: Tensor) -> bool:
    """Return whether weights lie in blocks of GGUF."""
    return hasattr(weight, "quant_type")


def fill(model: nn.Module, weights: Mapping[str, Tensor], scales: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Put weights into a model that has none yet, one by one: those in fp8 stay so where they may.

    `scales`: (rows, 1) by the name of the weight. Names that the model does not have are passed over. Modules that
    diffusers keeps in float32 are so here too, and in float16 those of transformers.
    """
    is_whole = isinstance(model, PreTrainedModel) and dtype is not torch.float16
    precise = set() if is_whole else {*(getattr(model, "_keep_in_fp32_modules", None) or ())}
    kept = {*list_storable(model), *list_storable(model, nn.Embedding)}
    for name in [name for name, _ in model.named_parameters()]:
        if name not in weights:
            continue
        advance()
        path, _, last = name.rpartition(".")
        owner, weight, scale = model.get_submodule(path), weights[name], scales.get(name)
        into = torch.float32 if precise.intersection(path.split(".")) else dtype
        has, needs = getattr(weight, "quant_shape", weight.shape), getattr(owner, last).shape
        if has != needs:
            raise ValueError(f"{name} is {tuple(has)}, not {tuple(needs)}")
        if is_in_blocks(weight):
            _put_blocks(model, name, weight, into, stays=path in kept)
        elif last == "weight" and path in kept and weight.dtype in FP8:
            model.set_submodule(path, _keep(owner, weight, scale, into))
        else:
            setattr(owner, last, nn.Parameter(multiply_out(weight, scale, into), requires_grad=False))
    for name, buffer in list(model.named_buffers()):
        if name in weights:
            _put_buffer(model, name, weights[name], dtype if buffer.is_floating_point() else buffer.dtype)


def _put_buffer(model: nn.Module, name: str, value: Tensor, dtype: torch.dtype) -> None:
    path, _, last = name.rpartition(".")
    owner = model.get_submodule(path)
    whole = whole_numbers(value, dtype)
    if whole.shape != getattr(owner, last).shape:
        raise ValueError(f"{name} is {tuple(whole.shape)}, not {tuple(getattr(owner, last).shape)}")
    setattr(owner, last, whole)


def whole_numbers(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers in `dtype`, whatever they lie in."""
    if not is_in_blocks(value):
        return value.to(dtype)
    from generation.engine.gguf_weights import expand  # only for such files: it needs a package of its own

    return expand(value, dtype)


def _keep(owner: nn.Module, weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> nn.Module:
    if isinstance(owner, nn.Embedding):
        return StoredEmbedding(weight, scale, dtype)
    assert isinstance(owner, nn.Linear)
    return StoredLinear(weight, scale, owner.bias)


def _put_blocks(model: nn.Module, name: str, weight: Any, dtype: torch.dtype, *, stays: bool) -> None:
    from generation.engine.gguf_weights import (  # only for such files: it needs a package of its own
        GgufEmbedding,
        GgufLinear,
        expand,
    )

    path, _, last = name.rpartition(".")
    owner = model.get_submodule(path)
    if stays and last == "weight" and isinstance(owner, nn.Linear):
        model.set_submodule(path, GgufLinear(weight, owner.bias))
    elif stays and isinstance(owner, nn.Embedding):
        model.set_submodule(path, GgufEmbedding(weight, dtype))
    else:
        setattr(owner, last, nn.Parameter(expand(weight, dtype), requires_grad=False))


def store(model: nn.Module) -> None:
    """Round a loaded model's weights to fp8 (e4m3), each row with a scale of its own."""
    for path in list_storable(model):
        layer = model.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        if layer.weight.is_floating_point() and layer.weight.dtype not in FP8:
            weight = layer.weight.detach().float()
            scale = (weight.abs().amax(dim=1, keepdim=True) / _MOST).clamp_min(torch.finfo(torch.float32).tiny)
            rounded = (weight / scale).clamp(-_MOST, _MOST).to(torch.float8_e4m3fn)
            model.set_submodule(path, StoredLinear(rounded, scale, layer.bias))
            advance()


def list_storable(model: nn.Module, kind: type[nn.Module] = nn.Linear) -> list[str]:
    """Return the paths of the layers of a kind that may stay in fp8: none that diffusers names as sensitive."""
    sensitive = (*DEFAULT_SKIP_MODULES_PATTERN, *(getattr(model, "_skip_layerwise_casting_patterns", None) or ()))
    return [
        path
        for path, layer in model.named_modules()
        if isinstance(layer, kind) and not any(re.search(pattern, path) for pattern in sensitive)
    ]


def take_scales(weights: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return weights without what belongs to their scales, and the scales (rows, 1) by the name of the weight.

    Raise `ValueError` for a scale that is neither one of all rows nor one a row, or that belongs to no weight; and for
    weights in whole numbers or in another format, which are not those of a layer.
    """
    for name, each in weights.items():
        if name.endswith(".comfy_quant"):
            _require_fp8(name, each)
        elif name.endswith(".weight") and not each.is_floating_point() and not is_in_blocks(each):
            raise ValueError(f"{name} is in whole numbers, which are not read here")
    plain = {name: each for name, each in weights.items() if not _BELONGS.search(name)}
    scales = {}
    for name, scale in weights.items():
        found = _SCALE.search(name)
        if found is None:
            continue
        owner = f"{name[: found.start()]}.weight"
        if owner not in plain or scale.numel() not in (1, len(plain[owner])):
            raise ValueError(f"{name} scales no weight in a way that is known here")
        scales[owner] = scale.float().reshape(-1, 1).expand(len(plain[owner]), 1).contiguous()
    return plain, scales


def take_whole(weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights with their scales multiplied in, for networks that keep none in fp8. Raise `ValueError` as
    `take_scales` does."""
    plain, scales = take_scales(weights)
    return plain | {name: multiply_out(plain[name], scale, torch.float32) for name, scale in scales.items()}


def is_of_scale(name: str) -> bool:
    """Return whether a tensor belongs to the scale of another."""
    return bool(_BELONGS.search(name))


def _require_fp8(name: str, note: Tensor) -> None:
    """Raise `ValueError` unless a note of ComfyUI's says that a layer is in fp8 as such, not turned or in blocks."""
    said = json.loads(bytes(note.to(torch.uint8).flatten().tolist()))
    if not isinstance(said, dict) or said.get("format") not in _COMFY_FORMATS or said.get("convrot"):
        raise ValueError(f"{name} says {str(said)[:80]}, which is not read here")


_COMFY_FORMATS = ("float8_e4m3fn", "float8_e5m2")
_SCALE = re.compile(r"\.(scale_weight|weight_scale)$")
_BELONGS = re.compile(r"\.(scale_weight|weight_scale|scale_input|input_scale|comfy_quant)$|(^|\.)scaled_fp8$")


def describe(parts: Mapping[str, nn.Module]) -> str:
    """Return how the weights of a model's parts are kept, for the fingerprint; empty if all are whole."""
    return ", ".join(f"{name} {how}" for name, part in parts.items() if (how := _describe(part)))


def _describe(network: nn.Module) -> str:
    return " and ".join(sorted({str(each.kept_as) for each in network.modules() if hasattr(each, "kept_as")}))
