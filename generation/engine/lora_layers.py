"""What a LoRA adds to one layer: as tensors that were read, and as modules that work beside the layer.

Each kind becomes two modules, one after the other, as PEFT's LoRA layers call them, so that LoRA of all kinds are
switched, weighted and added up in one order by one mechanism. None of them looks at more than one row at a time, so
rows keep their bits in whatever company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer as PeftLayer
from peft.tuners.lora.layer import LoraVariant
from torch import Tensor, nn

from generation.engine.stored_weights import whole_weight

Modules = tuple[nn.Module, nn.Module]
_CHANNELS = 4


class Change(Protocol):
    """What is added to the weight of a layer, scaled already; of the shape of that weight."""

    @property
    def tensors(self) -> tuple[Tensor, ...]: ...
    def compute(self) -> Tensor:
        """Return all of it, as large as the layer's weight."""
        ...

    def take(self, rows: Tensor) -> Change:
        """Return these rows of it alone, in that order."""
        ...

    def build(self, base: nn.Module) -> Modules:
        """Return two modules that apply it, one after the other, to what the layer is given."""
        ...


@dataclass(frozen=True, slots=True)
class LowRank:
    """`up @ down`: of shapes (gives, rank) and (rank, takes, sides of the kernel …)."""

    down: Tensor
    up: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.down, self.up

    def compute(self) -> Tensor:
        return (self.up @ self.down.flatten(1)).reshape(-1, *self.down.shape[1:])

    def take(self, rows: Tensor) -> LowRank:
        return LowRank(self.down, self.up[rows])

    def build(self, base: nn.Module) -> Modules:
        sides = (1,) * (self.down.dim() - 2)
        up = _pad_rows(self.up.T).T
        return _Map(_pad_rows(self.down), base), _Map(up.reshape(*up.shape, *sides))


@dataclass(frozen=True, slots=True)
class Hadamard:
    """Two low-rank matrices multiplied number by number (LoHa).

    That is a low-rank matrix too, of the product of the ranks. It is kept as one while that takes fewer numbers than
    the layer itself; else it is multiplied out at each call.
    """

    first: LowRank
    second: LowRank

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return *self.first.tensors, *self.second.tensors

    def compute(self) -> Tensor:
        return self.first.compute() * self.second.compute()

    def take(self, rows: Tensor) -> Hadamard:
        return Hadamard(self.first.take(rows), self.second.take(rows))

    def build(self, base: nn.Module) -> Modules:
        shape = (self.first.up.shape[0], *self.first.down.shape[1:])
        rank = self.first.up.shape[1] * self.second.up.shape[1]
        if rank * (shape[0] + prod(shape[1:])) <= prod(shape):
            return self.expand().build(base)
        return _HadamardMap(self, base), nn.Identity()

    def expand(self) -> LowRank:
        """Return the same as one pair of matrices: all products of rows of one with rows of the other."""
        first, second = self.first, self.second
        down = (first.down[:, None] * second.down[None]).flatten(0, 1)
        return LowRank(down=down, up=(first.up[:, :, None] * second.up[:, None, :]).flatten(1))


@dataclass(frozen=True, slots=True)
class Kronecker:
    """The Kronecker product of a small matrix and of one that may be low-rank (LoKr); it is never multiplied out."""

    outer: Tensor
    inner: Tensor | LowRank
    rows: Tensor | None = None
    """Those of the product that are meant; None for all."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.outer, *(self.inner.tensors if isinstance(self.inner, LowRank) else (self.inner,))

    def compute(self) -> Tensor:
        inner = self.inner.compute() if isinstance(self.inner, LowRank) else self.inner
        product = torch.kron(self.outer.reshape(*self.outer.shape, *(1,) * (inner.dim() - 2)), inner)
        return product if self.rows is None else product[self.rows]

    def take(self, rows: Tensor) -> Kronecker:
        return Kronecker(self.outer, self.inner, rows if self.rows is None else self.rows[rows])

    def build(self, base: nn.Module) -> Modules:
        inner = self.inner.build(base) if isinstance(self.inner, LowRank) else (_Map(self.inner, base),)
        outer = _OuterFactor(self.outer, self.rows, is_of_pictures=isinstance(base, nn.Conv2d))
        return _InnerFactor(inner, self.outer.shape[1]), outer


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """What is added to one layer, and, of a DoRA, how long each row (gives, 1 …) or column (1, takes, 1 …) becomes."""

    change: Change
    lengths: Tensor | None = None

    def is_finite(self) -> bool:
        """Return whether all numbers are, after they were scaled and multiplied."""
        lengths = () if self.lengths is None else (self.lengths,)
        return all(bool(torch.isfinite(tensor).all()) for tensor in (*self.change.tensors, *lengths))

    def take(self, rows: Tensor) -> LoraLayer:
        """Return these rows of it alone. Raise `RuntimeError` for lengths of columns, which are those of all rows."""
        if self.lengths is None:
            return LoraLayer(self.change.take(rows))
        if self.lengths.shape[0] == 1:
            raise RuntimeError("lengths of columns")
        return LoraLayer(self.change.take(rows), self.lengths[rows])

    def put_beside(self, layer: PeftLayer, name: str) -> None:
        """Give PEFT's layer these tensors under a name. They are computed on the CPU, wherever the layer is now."""
        base = layer.get_base_layer()
        layer.lora_A[name], layer.lora_B[name] = self.change.build(base)
        if self.lengths is not None:
            layer.lora_magnitude_vector[name] = Stretch(self._compute_stretch(whole_weight(base, torch.float32)))
            layer.lora_variant[name] = _Stretched()

    def _compute_stretch(self, weight: Tensor) -> Tensor:
        """Return how much longer each row or column becomes, as a part of what it is with this LoRA."""
        assert self.lengths is not None
        merged = weight.cpu() + self.change.compute()
        others = [side for side, length in enumerate(self.lengths.shape) if length == 1]
        lengths = torch.linalg.vector_norm(merged, dim=others, keepdim=True) if others else merged.abs()
        return self.lengths / (lengths + torch.finfo(torch.float32).eps) - 1


class Stretch(nn.Module):
    """How much longer a DoRA makes rows or columns of a layer."""

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.is_of_columns = factor.shape[0] == 1 and factor.dim() > 1 and factor.shape[1] > 1
        per_place = factor.transpose(0, 1)[0] if not self.is_of_columns else factor[0]
        self.factor = _fixed(per_place)
        """By channel: (channels,) beside a linear layer, (channels, 1, 1) beside a convolution."""


class _Stretched(LoraVariant):  # type: ignore[misc]
    """A DoRA in PEFT's layer: what it makes of the model's own weight, added as strongly as the prompt says.

    PEFT's own computes all lengths again in every forward, and leaves them changed at weight 0.
    """

    @staticmethod
    def forward(module: PeftLayer, active_adapter: str, x: Tensor, result: Tensor, **_: Any) -> Tensor:
        down, up = module.lora_A[active_adapter], module.lora_B[active_adapter]
        stretch, base = module.lora_magnitude_vector[active_adapter], module.get_base_layer()
        if stretch.is_of_columns:
            longer = x * stretch.factor
            added = up(down(x + longer)) + _apply(longer, whole_weight(base, x.dtype), base)
        else:
            is_first = active_adapter == next(name for name in module.active_adapters if name in module.lora_A)
            own = _without_bias(result, base) if is_first else _apply(x, whole_weight(base, x.dtype), base)
            added = up(down(x))
            added = added + (added + own) * stretch.factor
        changed: Tensor = result + added * module.scaling[active_adapter]
        return changed


def _without_bias(result: Tensor, base: Any) -> Tensor:
    bias: Tensor | None = base.bias
    if bias is None:
        return result
    return result - (bias[:, None, None] if isinstance(base, nn.Conv2d) else bias)


def _apply(x: Tensor, weight: Tensor, like: nn.Module | None) -> Tensor:
    """Return what a layer makes of `x` with that weight and without bias; a convolution moves as `like` does."""
    if weight.dim() == 2:
        return F.linear(x, weight)
    if not isinstance(like, nn.Conv2d):
        return F.conv2d(x, weight)
    return F.conv2d(x, weight, None, like.stride, like.padding, like.dilation)


class _Map(nn.Module):
    """A linear layer or convolution without bias."""

    def __init__(self, weight: Tensor, like: nn.Module | None = None) -> None:
        super().__init__()
        self._num_channels = weight.shape[0]
        self.weight = _fixed(_pad_rows(weight))
        self._like = (like,)  # in a tuple: the layer is no part of this one

    def forward(self, x: Tensor) -> Tensor:
        result = _apply(x, self.weight, self._like[0])
        if self.weight.shape[0] == self._num_channels:
            return result
        return result.narrow(-1 if self.weight.dim() == 2 else 1, 0, self._num_channels)


def _pad_rows(weight: Tensor) -> Tensor:
    """Return a weight with rows of zeros added, up to a multiple of four.

    With another number of channels a row of a batch has other bits in another place: measured in float32 on the CPU,
    for convolutions of single places, for one channel, and for odd ranks beside one token.
    """
    lacking = -weight.shape[0] % _CHANNELS
    return torch.cat((weight, weight.new_zeros(lacking, *weight.shape[1:]))) if lacking else weight


class _HadamardMap(nn.Module):
    """A LoHa of high rank, multiplied out at each call."""

    def __init__(self, change: Hadamard, like: nn.Module) -> None:
        super().__init__()
        self.weight, self.first_up, self.second_down, self.second_up = map(_fixed, change.tensors)
        self._like = (like,)

    def forward(self, x: Tensor) -> Tensor:
        change = Hadamard(LowRank(self.weight, self.first_up), LowRank(self.second_down, self.second_up))
        return _apply(x, change.compute(), self._like[0])


class _InnerFactor(nn.Module):
    """The second factor of a Kronecker product, applied to each of the groups of channels that the first one mixes."""

    def __init__(self, maps: Sequence[nn.Module], num_groups: int) -> None:
        super().__init__()
        self._maps = nn.Sequential(*maps)
        self._num_groups = num_groups

    @property
    def weight(self) -> Tensor:
        """A part of it: PEFT's layer asks for its number format."""
        first: Any = self._maps[0]
        weight: Tensor = first.weight
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, groups, channels), or of a convolution (rows, groups, channels, height, width)."""
        if self.weight.dim() == 2:
            inner: Tensor = self._maps(x.reshape(*x.shape[:-1], self._num_groups, -1))
            return inner
        pictures: Tensor = self._maps(x.reshape(x.shape[0] * self._num_groups, -1, *x.shape[2:]))
        return pictures.reshape(x.shape[0], self._num_groups, *pictures.shape[1:])


class _OuterFactor(nn.Module):
    """The first factor of a Kronecker product: mixes groups of channels."""

    def __init__(self, weight: Tensor, rows: Tensor | None, *, is_of_pictures: bool) -> None:
        super().__init__()
        self.weight = _fixed(weight)
        self._rows: Tensor | None
        self.register_buffer("_rows", rows, persistent=False)
        self._is_of_pictures = is_of_pictures

    def forward(self, x: Tensor) -> Tensor:
        if not self._is_of_pictures:
            product = torch.matmul(self.weight, x).flatten(-2)
            return product if self._rows is None else product.index_select(-1, self._rows)
        return torch.matmul(self.weight, x.flatten(2)).reshape(x.shape[0], -1, *x.shape[3:])


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.contiguous(), requires_grad=False)
