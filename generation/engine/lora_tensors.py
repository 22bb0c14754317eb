"""Makes of a LoRA file's tensors what is added to a layer, in the shape of that layer's weight.

Cores (Tucker) are multiplied into the matrix beside them, and matrices that were kept flat get the kernel's sides.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from generation.engine.lora_layers import Change, Hadamard, Kronecker, LowRank

Shape = tuple[int, ...]
Parts = Mapping[str, Tensor]


def build_change(parts: Parts, shape: Shape, scale: float) -> Change:
    """Return the change of a weight of that shape from parts that `lora_kinds.measure` passed.

    Raise `RuntimeError` if their kernel is another than the weight's.
    """
    if "down" in parts:
        return _low_rank(parts["up"].flatten(1) * scale, parts["down"], parts.get("mid"), shape[1:])
    if "hada_w1_a" in parts:
        first, second = (_read_half(parts, f"hada_w{which}", f"hada_t{which}", shape[1:]) for which in (1, 2))
        return Hadamard(LowRank(down=first.down, up=first.up * scale), second)
    outer = _read_outer(parts) * scale
    inner = (shape[1] // outer.shape[1], *shape[2:])
    if "lokr_w2" in parts:
        return Kronecker(outer, _give_sides(parts["lokr_w2"], inner))
    return Kronecker(outer, _read_half(parts, "lokr_w2", "lokr_t2", inner))


def read_lengths(parts: Parts, shape: Shape) -> Tensor | None:
    """Return a DoRA's lengths, of rows (gives, 1 …) or of columns (1, takes, 1 …); None of what is none.

    Raise `RuntimeError` if they are of other numbers than the weight has.
    """
    if "magnitude" in parts:
        return parts["magnitude"].reshape(shape[0], *(1,) * (len(shape) - 1))
    lengths = parts.get("dora_scale")
    if lengths is None:
        return None
    is_of_rows = lengths.shape[0] == shape[0] and lengths.numel() == shape[0]
    ones = (1,) * (len(shape) - 2)
    return lengths.reshape(shape[0], 1, *ones) if is_of_rows else lengths.reshape(1, shape[1], *ones)


def _read_outer(parts: Parts) -> Tensor:
    return parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]


def _read_half(parts: Parts, name: str, core: str, takes: Shape) -> LowRank:
    a, b = parts[f"{name}_a"], parts[f"{name}_b"]
    return _low_rank(a.T if core in parts else a, b, parts.get(core), takes)


def _low_rank(up: Tensor, down: Tensor, core: Tensor | None, takes: Shape) -> LowRank:
    if core is not None:
        down = torch.einsum("ij...,jr->ir...", core, down.flatten(1))
    return LowRank(down=_give_sides(down, takes), up=up)


def _give_sides(matrix: Tensor, takes: Shape) -> Tensor:
    """Return (rows, takes, sides of the kernel …) of a matrix that may be flat, or have sides of length 1."""
    if matrix.dim() == 4 and matrix.shape[2:] != (takes[1:] or (1, 1)):
        raise RuntimeError("another kernel")
    return matrix.reshape(matrix.shape[0], *takes)
