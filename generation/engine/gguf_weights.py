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
        return F.linear(input, self.multiply_out(input.dtype), self.bias)

    def multiply_out(self, dtype: torch.dtype) -> Tensor:
        return expand(self.weight, dtype)

    @property
    def kept_as(self) -> str:
        return _describe_format(self.weight)


class GgufEmbedding(nn.Embedding):
    """A table of words in blocks of GGUF. Only the rows that are read are multiplied out."""

    def __init__(self, weight: GGUFParameter, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = weight.quant_shape
        self.weight: GGUFParameter = weight
        self._dtype = dtype

    def forward(self, input: Tensor) -> Tensor:
        rows = self.weight.as_tensor()[input]
        return _multiply_out(rows, self.weight.quant_type).reshape(*input.shape, -1).to(self._dtype)

    @property
    def kept_as(self) -> str:
        return _describe_format(self.weight)


def _describe_format(weight: GGUFParameter) -> str:
    """Return how weights are kept, and what multiplies them out beside diffusers."""
    return f"gguf {weight.quant_type.name} {version('gguf')}"


def expand(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return weights as plain numbers of that format, whatever they lie in."""
    if not isinstance(weight, GGUFParameter):
        return weight.to(dtype)
    return _multiply_out(weight.as_tensor(), weight.quant_type).reshape(weight.quant_shape).to(dtype)


def _multiply_out(rows: Tensor, kind: GGMLQuantizationType) -> Tensor:
    """Return the numbers of rows of blocks, a block a row."""
    numbers, size = GGML_QUANT_SIZES[kind]
    plain: Tensor = dequantize_functions[kind](rows.reshape(-1, size), numbers, size, torch.float32)
    return plain


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
