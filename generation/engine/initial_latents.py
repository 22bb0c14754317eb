"""The latents an image starts from: noise, noise turned towards a second seed, a picture or a first pass under noise.

The order in which the generator is asked is that of the stock diffusers pipelines; another order is another picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generation.engine.families.base import Family
from generation.engine.outpaint import build_repaint_mask, extend
from generation.engine.pixels import read_picture, to_mask, to_model_range
from generation.engine.samplers import Sampling
from generation.jobs.protocol import GenerateCommand
from generation.requests.edits import Variation

_NEARLY_PARALLEL = 0.9995


@dataclass(frozen=True, slots=True)
class Repaint:
    """What inpainting needs at every step: where to paint, and what stays elsewhere."""

    mask: Tensor
    """(1, 1, h, w): 1 where the picture is repainted."""
    kept: Tensor
    """(1, C, h, w): clean latents of the start image."""
    noise: Tensor

    def blend(self, sampling: Sampling, latents: Tensor, index: int) -> Tensor:
        """Put back the kept part, as noisy as it must be after evaluation `index`."""
        kept = self.kept
        if index + 1 < len(sampling.times):
            kept = sampling.add_noise(kept, self.noise, index + 1)
        return (1 - self.mask) * kept + self.mask * latents


@dataclass(frozen=True, slots=True)
class Begun:
    """What an image has before its first evaluation, on the CPU in float32."""

    latents: Tensor
    """(1, C, h, w)."""
    repaint: Repaint | None = None
    mask_input: Tensor | None = None
    """(1, 1 + C, h, w), for a model that takes a mask: 1 where it paints, and the latents of what stays."""


def begin(family: Family, sampling: Sampling, order: GenerateCommand, shape: tuple[int, ...]) -> Begun:
    """Return what an image begins with; `shape` is (1, C, h, w)."""
    picture, mask = _read_start(order)
    if family.takes_mask:
        return _begin_with_mask_input(family, sampling, order, shape, picture, mask)
    if picture is None:
        return Begun(_noise(sampling, order, shape) * sampling.init_noise_sigma)
    if mask is not None:
        return Begun(*_begin_inpaint(family, sampling, order, shape, picture, mask))
    kept = _encode(family, sampling, picture)
    return Begun(sampling.add_noise(kept, _noise(sampling, order, shape), 0))


def build_mask_input(
    family: Family,
    generator: torch.Generator,
    shape: tuple[int, ...],
    picture: np.ndarray | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the mask and the latents of what stays, (1, 1 + C, h, w); without a mask all is painted, nothing stays."""
    cell = family.pixels_per_latent
    size = shape[-2] * cell, shape[-1] * cell
    mask = torch.ones(1, 1, *size) if mask is None else mask
    pixels = torch.zeros(1, 3, *size) if picture is None else to_model_range(picture) * (mask < 0.5)
    kept = family.encode(pixels, generator).cpu().contiguous()
    return torch.cat([torch.nn.functional.interpolate(mask, size=shape[-2:]), kept], dim=1)


def _read_start(order: GenerateCommand) -> tuple[np.ndarray | None, Tensor | None]:
    """Return the picture it starts from, and a mask (1, 1, height, width) that is 1 where it is repainted."""
    start = order.spec.start
    if start is None:
        return None, None
    picture = read_picture(order.start_png, order.spec.start_size_px, name="The start picture")
    if start.margins is not None:
        mask = torch.from_numpy(build_repaint_mask(picture, start.margins))[None, None]
        return extend(picture, start.margins), mask
    if start.mask_sha256 is not None:
        return picture, to_mask(read_picture(order.mask_png, order.spec.start_size_px, name="The mask"))
    return picture, None


def _begin_with_mask_input(
    family: Family,
    sampling: Sampling,
    order: GenerateCommand,
    shape: tuple[int, ...],
    picture: np.ndarray | None,
    mask: Tensor | None,
) -> Begun:
    """Begin an image of an inpainting model. It sees what stays at every step, so nothing is put back."""
    start = order.spec.start
    if picture is None or start is None or start.strength == 1.0:
        latents = _noise(sampling, order, shape) * sampling.init_noise_sigma
    else:
        kept = _encode(family, sampling, picture)
        latents = sampling.add_noise(kept, _noise(sampling, order, shape), 0)
    return Begun(latents, mask_input=build_mask_input(family, sampling.generator, shape, picture, mask))


def begin_larger(sampling: Sampling, painted: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return `(latents, clean)` of a hires fix: a first pass enlarged to `shape`, with and without noise."""
    clean = torch.nn.functional.interpolate(painted.cpu(), size=shape[-2:], mode="bicubic")
    return sampling.add_noise(clean, sampling.draw(shape), 0), clean


def _begin_inpaint(
    family: Family,
    sampling: Sampling,
    order: GenerateCommand,
    shape: tuple[int, ...],
    picture: np.ndarray,
    mask: Tensor,
) -> tuple[Tensor, Repaint]:
    """Return the latents of an inpaint; `mask` is (1, 1, height, width) in pixels, 1 where it is repainted."""
    assert order.spec.start is not None
    kept = _encode(family, sampling, picture)
    noise = _noise(sampling, order, shape)
    # The stock pipeline encodes the masked picture too, for UNets with nine channels. One with four needs no such
    # thing, but the draw it takes from the generator moves every later one.
    sampling.draw(shape)
    mask = torch.nn.functional.interpolate(mask, size=shape[-2:])
    if order.spec.start.strength == 1.0:
        latents = noise * sampling.init_noise_sigma
    else:
        latents = sampling.add_noise(kept, noise, 0)
    return latents, Repaint(mask, kept, noise)


def _encode(family: Family, sampling: Sampling, picture: np.ndarray) -> Tensor:
    return family.encode(to_model_range(picture), sampling.generator).cpu().contiguous()


def _noise(sampling: Sampling, order: GenerateCommand, shape: tuple[int, ...]) -> Tensor:
    noise = sampling.draw(shape)
    if order.spec.variation is None:
        return noise
    return _turn(noise[0], _draw_second_noise(order.spec.variation, shape)[0], order.spec.variation.strength)[None]


def _draw_second_noise(variation: Variation, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(variation.seed))


def _turn(low: Tensor, high: Tensor, amount: float) -> Tensor:
    """Interpolate on the sphere as AUTOMATIC1111's web UI does: (C, h, w), angles along dimension 1."""
    unit_low = low / torch.norm(low, dim=1, keepdim=True)
    unit_high = high / torch.norm(high, dim=1, keepdim=True)
    cosine = (unit_low * unit_high).sum(1)
    if cosine.mean() > _NEARLY_PARALLEL:
        return low * (1 - amount) + high * amount
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    turned_low = (torch.sin((1.0 - amount) * angle) / sine).unsqueeze(1) * low
    return turned_low + (torch.sin(amount * angle) / sine).unsqueeze(1) * high
