"""Counts what a loaded model takes, in floating point operations, by the engine's own code and without its numbers.

Its networks are built again from their settings on the meta device, where nothing is computed, and take the places of
those that were loaded. So the count needs no weights, is the same however they are kept (fp8, GGUF), and needs nothing
of a new family: it runs `condition`, `denoise`, `decode` and `encode`. The loaded model is of no use afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from generation.engine.families.base import MASK, Conditioning, Family
from generation.engine.offload import list_networks
from generation.engine.slot import latent_shape
from generation.models.catalog import Model
from generation.requests.cost import STANDARD_OPERATIONS, STANDARD_PX, Work
from generation.requests.spec import ImageSpec

log = logging.getLogger(__name__)

_META = torch.device("meta")
_SIDES_PX = (256, 512, 1024)
_PROMPT = "a harbour " * 30
"""60 tokens: one chunk of CLIP's, and about what people write."""


def try_count(model: Model, family: Family) -> Work | None:
    """Return what a model takes; None, with a warning in the log, where it cannot be counted."""
    try:
        return count_work(model, family)
    except Exception as error:  # its family's usual price holds then
        log.warning("model=%s action=count-failed error=%s", model.name, f"{type(error).__name__}: {error}"[:300])
        return None


def count_work(model: Model, family: Family, *, prompt: str = _PROMPT) -> Work:
    """Return what a model takes. Its ControlNets take what they do with others of its family."""
    for network in list_networks(family):
        _empty(network)
    with torch.inference_mode(), _without_autocast(), _Unknown():  # type: ignore[no-untyped-call]
        spec = _make_spec(model, prompt)
        text, conditioning = _count(lambda: family.condition(spec, family.tokenize(spec)))
        steps = [_count(partial(_denoise, family, side_px, conditioning))[0] for side_px in _SIDES_PX]
        largest_px = _SIDES_PX[-1]
        pixels = torch.zeros(1, 3, largest_px, largest_px, device=_META)
        decoded, _ = _count(lambda: family.decode(_make_latents(family, largest_px).float()))
        encoded, _ = _count(lambda: family.encode(pixels, torch.Generator()))
    areas = [side_px**2 / STANDARD_PX for side_px in _SIDES_PX]
    fixed, linear, quadratic = _fit(list(zip(areas, steps, strict=True)))
    ends = {"text": text, "decode": decoded / areas[-1], "encode": encoded / areas[-1]}
    return Work(fixed, linear, quadratic, model.info.work.control, **ends)


@contextmanager
def _without_autocast() -> Iterator[None]:
    """Let a network switch autocast off, which the meta device does not know."""
    with patch.object(torch, "autocast", lambda *args, **kwargs: nullcontext()):
        yield


def _make_spec(model: Model, prompt: str) -> ImageSpec:
    return ImageSpec(
        prompt=prompt,
        model=model.name,
        width_px=_SIDES_PX[-1],
        height_px=_SIDES_PX[-1],
        steps=4,
        guidance=1.0,
        sampler=model.samplers[0],
        seed=0,
    )


def _denoise(family: Family, side_px: int, conditioning: Conditioning) -> Tensor:
    """Run one row of that size."""
    latents = _make_latents(family, side_px)
    if family.takes_mask:
        conditioning = {**conditioning, MASK: torch.cat([latents[:, :1], latents], dim=1)}
    return family.denoise(latents, torch.zeros(1, device=_META), conditioning)


def _make_latents(family: Family, side_px: int) -> Tensor:
    shape = latent_shape(family, (side_px, side_px))
    return torch.zeros(1, *shape, device=_META, dtype=family.denoiser.dtype)


def _count(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the operations of a run over the standard's, and what it returns."""
    with FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops() / STANDARD_OPERATIONS, result


def _fit(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return (c, b, a) of the parabola `a p^2 + b p + c` through three points (p, value)."""
    (p, u), (q, v), (r, w) = points
    slope = (v - u) / (q - p)
    quadratic = ((w - v) / (r - q) - slope) / (r - p)
    linear = slope - quadratic * (p + q)
    return u - p * (linear + quadratic * p), linear, quadratic


def _empty(network: Any) -> None:
    """Put a network without numbers in the place of a loaded one, for all that hold it."""
    dtype = network.dtype
    with _META:
        settings = network.config
        fresh = type(network).from_config(settings) if hasattr(network, "from_config") else type(network)(settings)
    network.__dict__ = fresh.to(dtype).eval().requires_grad_(False).__dict__
    network.register_forward_pre_hook(_move_inputs, with_kwargs=True)


def _move_inputs(network: Any, args: Any, kwargs: Any) -> Any:
    return tree_map_only(Tensor, lambda each: each.to(_META), (args, kwargs))


class _Unknown(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers what code asks of numbers that are not there: each is 0, or not so; and keeps copies of them away."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].is_meta:
            if func is torch.ops.aten._local_scalar_dense.default:
                return torch.zeros((), dtype=args[0].dtype).item()
            if func is torch.ops.aten._to_copy.default:
                kwargs["device"] = _META
        return func(*args, **kwargs)
