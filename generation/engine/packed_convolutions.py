"""Convolutions of a processor whose weights lie in the order that oneDNN multiplies in.

torch keeps weights in its own order. So each forward has to reorder them, and the input and the output of each layer.
These layers reorder their weights once, and their outputs lie channels last, as oneDNN reads and writes them. It adds
numbers in another order, so the bytes are others: a trace marks forwards with packed weights (`Forward.is_packed`). A
replay of a forward without that mark computes as torch does.

torch compiles networks to the same operators (`torch._inductor.fx_passes.mkldnn_fusion`).
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PROCESSORS = ("x86_64", "AMD64")
_CAPABILITIES = ("AVX2", "AVX512")
"""Where oneDNN has fast kernels for pictures that lie channels last."""
_USUAL_SIDE = 16
_MOST_INPUTS = 256
_COMPARED_BYTES = 4096
_ordering = threading.Lock()


class _Thread(threading.local):
    is_packed = True


_thread = _Thread()


class PackedConv2d(nn.Conv2d):
    """A convolution with packed weights and no others: `weight` has their shape, and no number in it.

    oneDNN wants another order for some sizes of picture and numbers of threads. Each order is made when it is first
    wanted: with weights in a wrong one a small forward takes twice as long. Bytes do not depend on the order.
    """

    orders: list[Tensor]
    by_input: dict[tuple[torch.Size, int], Tensor]
    """The one that suits a shape of input and a number of threads."""

    def forward(self, input: Tensor) -> Tensor:
        if not _thread.is_packed:
            return F.conv2d(
                input, self.multiply_out(input.dtype), self.bias, self.stride, self.padding, self.dilation, self.groups
            )
        kind = input.shape, torch.get_num_threads()
        packed = self.by_input.get(kind)
        if packed is None:
            packed = self._choose_order(kind)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input, packed, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
        )
        return result

    def multiply_out(self, dtype: torch.dtype) -> Tensor:
        """Return the weights in torch's order."""
        return self.orders[0].to_dense().to(dtype)

    def _choose_order(self, kind: tuple[torch.Size, int]) -> Tensor:
        with _ordering:
            wanted = _order(self, self.orders[0].to_dense(), kind[0])
            same = [each for each in self.orders if _read_beginning(each) == _read_beginning(wanted)]
            if not same:
                self.orders.append(wanted)
            if len(self.by_input) >= _MOST_INPUTS:
                self.by_input.clear()
            chosen = self.by_input[kind] = same[0] if same else wanted
        return chosen


@contextmanager
def computing(*, packed: bool) -> Iterator[None]:
    """Have the calling thread compute packed layers with packed weights, or as torch computes those it has."""
    before, _thread.is_packed = _thread.is_packed, packed
    try:
        yield
    finally:
        _thread.is_packed = before


def is_packed() -> bool:
    """Return whether the calling thread computes with packed weights. What is kept of both has to be told apart."""
    return _thread.is_packed


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether packed weights pay there: in float32 on Intel's and AMD's processors. In bfloat16 they do not."""
    operators = ("_convolution_pointwise", "_reorder_convolution_weight", "data_ptr", "_nbytes")
    return (
        device.type == "cpu"
        and dtype == torch.float32
        and platform.machine() in _PROCESSORS
        and torch.backends.cpu.get_cpu_capability() in _CAPABILITIES
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and all(hasattr(torch.ops.mkldnn, each) for each in operators)
    )


@torch.inference_mode()
def pack(networks: Iterable[Any]) -> None:
    """Pack the weights of all two-dimensional convolutions of networks on the processor, in place, once."""
    for layer in [layer for network in networks for layer in network.modules()]:
        if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
            _pack(layer)


def _pack(layer: Any) -> None:
    weight = layer.weight.detach()
    layer.orders = [_order(layer, weight.contiguous(), (1, layer.in_channels, _USUAL_SIDE, _USUAL_SIDE))]
    layer.by_input = {}
    # Code that reads `weight` gets NaN, and a picture with NaN is refused: no picture is wrong without an error.
    absent = torch.full((1,), torch.nan).expand(weight.shape)
    layer.weight = nn.Parameter(absent, requires_grad=False)
    layer.__class__ = PackedConv2d


def _order(layer: nn.Conv2d, weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Return weights in the order for inputs of that shape, and for the threads that the caller has."""
    ordered: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, layer.padding, layer.stride, layer.dilation, layer.groups, shape
    )
    return ordered


def _read_beginning(packed: Tensor) -> bytes:
    """Return the first weights as they lie in memory. torch does not tell in which order that is."""
    length = min(_COMPARED_BYTES, torch.ops.mkldnn._nbytes(packed))
    return ctypes.string_at(torch.ops.mkldnn.data_ptr(packed), length)
