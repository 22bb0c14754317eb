"""Measures how fast this machine multiplies matrices, and how much of that a model needs."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from bench._painting import an_order
from generation.engine.engine import Engine
from generation.engine.packed_convolutions import can_pack
from generation.engine.slot import Slot
from generation.models.catalog import Model


class Work(NamedTuple):
    """Floating point operations."""

    row: float
    """Of one row of one model evaluation."""
    decode: float
    """Of decoding one picture."""


def _count_packed(x_shape: Any, w_shape: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    return conv_flop_count(x_shape, w_shape, out_shape)


_COUNTED: dict[Any, Any] = {}
"""How to count what torch's counter does not know."""
if can_pack(torch.device("cpu"), torch.float32):  # else torch may lack it
    _COUNTED[torch.ops.mkldnn._convolution_pointwise] = _count_packed


@lru_cache(maxsize=1)
def count_work(engine: Engine, model: Model, side_px: int) -> Work:
    """Return the operations of a model's pictures of that size."""
    family = engine._models.get(model.name).family
    order = an_order(model, "f-0", width_px=side_px, height_px=side_px, guidance=1.0)
    slot = Slot(order, family, 0)
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=_COUNTED) as counter:
        slot.begin(engine._device.torch_device)
        encoded = counter.get_total_flops()
        assert slot.walk is not None
        dtype = engine._device.dtype
        conditioning = {
            name: rows.to(dtype) if rows.is_floating_point() else rows for name, rows in slot.conditioning.items()
        }
        times = torch.tensor([slot.timestep()], device=engine._device.torch_device)
        family.denoise(slot.model_input().to(dtype), times, conditioning)
        denoised = counter.get_total_flops()
        family.decode(slot.walk.latents)
        return Work(float(denoised - encoded), float(counter.get_total_flops() - denoised))


def peak_flops(engine: Engine, *, size: int = 2048, repeats: int = 5) -> float:
    """Return the best floating point operations per second of a few square matrix products in the engine's format."""
    device, dtype = engine._device.torch_device, engine._device.dtype
    left = torch.randn(size, size, device=device).to(dtype)
    right = torch.randn(size, size, device=device).to(dtype)
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
