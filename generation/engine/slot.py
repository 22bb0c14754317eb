"""One image in the making: its latents, its own sampler, its trace. State between two steps and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from generation.cost import cost_of_evaluations
from generation.engine.families.base import Conditioning, Family
from generation.engine.samplers import Sampling
from generation.engine.start import Repaint, begin
from generation.engine.text import Words
from generation.errors import InvalidRequest
from generation.order import Order
from generation.recipe import Trace


class Key(NamedTuple):
    """What images must have in common to share a forward."""

    model: str
    latent_shape: tuple[int, int, int]
    num_chunks: int
    adapters: tuple[str, ...] = ()


@dataclass(slots=True)
class Walk:
    """What exists once an image has begun."""

    sampling: Sampling
    conditioning: Conditioning
    latents: Tensor
    repaint: Repaint | None
    guess: Tensor | None = None
    """The sampler's best guess of the finished latents, for previews."""


class Slot:
    """One admitted image. Cheap to make: models run only when `begin` is called, just before its first step."""

    def __init__(self, order: Order, family: Family, serial: int) -> None:
        spec = order.spec
        self.order = order
        self.family = family
        self.serial = serial
        self.words: Words = family.tokenize(spec)
        self.key = Key(spec.model, latent_shape(family, order), self.words.num_chunks)
        self.rows = spec.num_rows
        self.charge = float(cost_of_evaluations(spec, 1) - cost_of_evaluations(spec, 0))
        self.buckets: list[int] = []
        self.replay = _parse_replay(order)
        self.walk: Walk | None = None
        self.num_previews = 0

    @property
    def done(self) -> int:
        return len(self.buckets)

    @property
    def total(self) -> int:
        return len(self.walk.sampling.times) if self.walk else self.order.spec.num_evaluations

    @property
    def is_denoised(self) -> bool:
        return self.walk is not None and self.done >= self.total

    @property
    def trace(self) -> str:
        return str(Trace.of(self.buckets))

    @property
    def next_bucket(self) -> int | None:
        """The bucket a replay must meet next; None for an image that takes what it gets."""
        return self.replay[self.done] if self.replay is not None else None

    def begin(self, device: torch.device) -> None:
        """Encode the words and make the first latents."""
        sampling = Sampling(self.order.spec, self.family.scheduler_config)
        if self.replay is not None and len(self.replay) != len(sampling.times):
            problem = f"has {len(self.replay)} evaluations where this picture takes {len(sampling.times)}."
            raise InvalidRequest(what="The trace", problem=problem)
        latents, repaint = begin(self.family, sampling, self.order, (1, *self.key.latent_shape))
        if repaint is not None:
            repaint = Repaint(*(part.to(device) for part in (repaint.mask, repaint.kept, repaint.noise)))
        conditioning = self.family.condition(self.order.spec, self.words)
        self.walk = Walk(sampling, conditioning, latents.to(device), repaint)

    def model_input(self) -> Tensor:
        """(1, C, h, w) for the coming evaluation, the same for all rows of this image."""
        assert self.walk is not None
        return self.walk.sampling.scale_input(self.walk.latents, self.done)

    def timestep(self) -> float:
        assert self.walk is not None
        return self.walk.sampling.times[self.done]

    def advance(self, prediction: Tensor, bucket: int) -> None:
        """Take this image's rows (rows, C, h, w) of a forward that had `bucket` rows: one step of its sampler."""
        walk, index = self.walk, self.done
        assert walk is not None
        guided = _guide(prediction.float(), self.order.spec.guidance)
        walk.latents, walk.guess = walk.sampling.step(guided, index, walk.latents)
        if walk.repaint is not None:
            walk.latents = walk.repaint.blend(walk.sampling, walk.latents, index)
        self.buckets.append(bucket)


def latent_shape(family: Family, order: Order) -> tuple[int, int, int]:
    """(C, h, w). Raises `InvalidRequest` for a size the model's latents cannot express."""
    cell = family.pixels_per_latent
    width, height = order.spec.width_px, order.spec.height_px
    if width % cell or height % cell:
        raise InvalidRequest(what="The size", problem=f"must be a multiple of {cell} pixels a side.")
    return family.latent_channels, height // cell, width // cell


def _guide(prediction: Tensor, guidance: float) -> Tensor:
    if prediction.shape[0] == 1:
        return prediction
    negative, positive = prediction.chunk(2)
    return negative + guidance * (positive - negative)


def _parse_replay(order: Order) -> tuple[int, ...] | None:
    if order.replay is None:
        return None
    try:
        buckets = tuple(Trace.parse(order.replay).buckets())
    except ValueError:
        raise InvalidRequest(what="The trace", problem="cannot be read.") from None
    if any(bucket < order.spec.num_rows for bucket in buckets):
        raise InvalidRequest(what="The trace", problem="has a bucket smaller than the picture's own rows.")
    if len(buckets) != order.spec.num_evaluations or max(buckets, default=1) > 64:
        raise InvalidRequest(what="The trace", problem="does not belong to this picture.")
    return buckets
