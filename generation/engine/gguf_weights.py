"""Weights of a GGUF file: they stay in their blocks, and each layer multiplies its own out when it is used.

diffusers has the arithmetic of every type of block. Its own layer computes otherwise on a card whose kernels it
fetches from the internet; ours computes the same everywhere.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.quantizers.gguf.utils import GGUFParameter, dequantize_functions
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from torch import Tensor, nn

from generation.models.gguf_header import WHOLE, read_gguf
from generation.progress import advance

_TYPES = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}


class GgufLinear(nn.Linear):
    """A linear layer with its weights in blocks of GGUF."""

    def __init__(self, weight: GGUFParameter, bias: nn.Parameter | None) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.quant_shape
        self.weight: GGUFParameter = weight
        self.register_parameter("bias", bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, expand(self.weight, input.dtype), self.bias)

    @property
    def kept_as(self) -> str:
        """How its weights are kept, and what multiplies them out beside diffusers."""
        return f"gguf {self.weight.quant_type.name} {version('gguf')}"


def expand(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return weights as plain numbers of that format, whatever they lie in."""
    if not isinstance(weight, GGUFParameter):
        return weight.to(dtype)
    numbers, size = GGML_QUANT_SIZES[weight.quant_type]
    blocks = weight.as_tensor().reshape(-1, size)
    plain: Tensor = dequantize_functions[weight.quant_type](blocks, numbers, size, torch.float32)
    return plain.reshape(weight.quant_shape).to(dtype)


def take_gguf(file: Path) -> dict[str, Any]:
    """Return every tensor of a GGUF file, mapped; those in blocks as parameters that know their type."""
    weights: dict[str, Any] = {}
    for name, tensor in read_gguf(file)[0].items():
        advance()
        data = np.memmap(file, np.uint8, mode="c", offset=tensor.begin, shape=(tensor.size,))
        raw = torch.from_numpy(data)
        if tensor.kind in WHOLE:
            weights[name] = raw.view(_TYPES[tensor.kind]).reshape(tensor.shape)
        else:
            weights[name] = GGUFParameter(raw.reshape(tensor.byte_shape), quant_type=GGMLQuantizationType(tensor.kind))
    return weights
