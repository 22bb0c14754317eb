"""One image in the making: its latents, its own sampler, its trace. State between two steps and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from msgspec import UNSET
from torch import Tensor

from generation.engine.conditioning import condition_walk, reword
from generation.engine.control.features import NO_GUIDES, NO_NETWORKS, Guides, Networks, prepare_guides
from generation.engine.errors import LatentSizeError, TraceLengthError
from generation.engine.families.base import Conditioning, Denoiser, Family, Words
from generation.engine.fused_steps import Stepped
from generation.engine.initial_latents import Repaint, begin, begin_larger, build_mask_input
from generation.engine.key import Key
from generation.engine.packed_convolutions import computing
from generation.engine.region_weights import blend_regions
from generation.engine.samplers import Sampling
from generation.engine.step_cache import Kept
from generation.jobs.protocol import GenerateCommand
from generation.requests.control import Control, find_active, find_running
from generation.requests.cost import BY_PIXELS, UNITS_PER_ROW_EVALUATION, Work, compute_evaluations_cost
from generation.requests.prompt_schedule import Wording
from generation.requests.recipe import Forward, Trace, require_trace
from generation.requests.spec import ImageSpec
from generation.safety.verdict import UNCHECKED, SafetyVerdict


class Traits(NamedTuple):
    """What a slot knows of the loaded model that paints it."""

    work: Work = BY_PIXELS
    """What one of its evaluations takes."""
    network: str = ""
    serial: int = 0
    sha256: str = ""
    storage: str = ""
    """How its weights are kept where they are not whole, for the fingerprint."""
    packs: bool = False
    """Whether its convolutions have packed weights."""


@dataclass(slots=True)
class SamplingRun:
    """The state of an image once it has begun."""

    sampling: Sampling
    conditioning: Mapping[Wording, Conditioning]
    """For each wording of its prompts, which may change from step to step."""
    latents: Tensor
    repaint: Repaint | None
    begun_at: int = 0
    """Evaluations the image had behind it when this walk began: those of a first pass."""
    guides: Guides = NO_GUIDES
    guess: Tensor | None = None
    """The sampler's best guess of the finished latents, for previews."""
    began_s: float = field(default_factory=time.monotonic)
    kept: Kept | None = None
    stepped: Stepped | None = None
    """The step after the last forward, where `WorkItem.take_steps` took it."""


class Slot:
    """One admitted image. Cheap to make: models run only when `begin` is called, just before its first step.

    `start`: what the safety checker said of the picture it starts from.
    """

    def __init__(
        self,
        order: GenerateCommand,
        family: Family,
        serial: int,
        *,
        start: SafetyVerdict = UNCHECKED,
        traits: Traits = Traits(),  # noqa: B008 - frozen
        networks: Networks = NO_NETWORKS,
    ) -> None:
        spec = order.spec
        self.work, self.network, self.model_sha256 = traits.work, traits.network, traits.sha256
        self.storage = traits.storage
        self.order = order
        self.start = start
        self.family = family
        self.serial = serial
        self.networks = networks
        self._plan = spec.plan
        wordings = spec.wordings or (Wording(spec.prompt, spec.negative),)
        self._words: dict[Wording, Words] = {each: family.tokenize(reword(spec, each)) for each in wordings}
        self.rows, self._areas = spec.num_rows, spec.areas
        self.cache = (spec.cache or 1) if family.can_cache else 1
        self.forwards: list[Forward] = []
        self._model_serial = traits.serial
        self._coming = list(spec.passes)
        self._shapes = [latent_shape(family, (each.width_px, each.height_px)) for each in self._coming]
        self.replay = None if order.replay is None else tuple(require_trace(spec, order.replay).forwards())
        self.is_packed = traits.packs and (self.replay is None or any(each.is_packed for each in self.replay[:1]))
        """Whether convolutions compute with packed weights: for a replay, where they did."""
        self._enter_pass()
        self.walk: SamplingRun | None = None
        self.num_previews = 0
        self.lacked_memory = False
        """Whether a forward of this image alone found no memory once."""

    @property
    def done(self) -> int:
        return len(self.forwards)

    @property
    def total(self) -> int:
        if self.walk is None:
            return self.order.spec.num_evaluations
        later = sum(each.evaluations for each in self._coming)
        return self.walk.begun_at + len(self.walk.sampling.times) + later

    @property
    def is_denoised(self) -> bool:
        return self.walk is not None and self.done >= self.total

    @property
    def index(self) -> int:
        """Of the coming evaluation in the present walk."""
        assert self.walk is not None
        return self.done - self.walk.begun_at

    @property
    def wording(self) -> Wording:
        """What the prompts are in the coming evaluation; after the last one, what they were in it."""
        if not self._plan:
            return next(iter(self._words))
        index = self.index if self.walk is not None else 0
        return self._walk_plan[min(index, len(self._walk_plan) - 1)]

    @property
    def key(self) -> Key:
        """What the images of its coming forward must have in common."""
        key, kept = self._keys[self.wording], self.walk.kept if self.walk is not None else None
        is_shallow = kept is not None and kept.wording == self.wording and self.index % self.cache
        return key._replace(is_shallow=True) if is_shallow else key

    @property
    def conditioning(self) -> Conditioning:
        assert self.walk is not None
        return self.walk.conditioning[self.wording]

    @property
    def dropped(self) -> str:
        """The end of the prompt that did not fit, to be shown to the user."""
        return next((each.dropped for each in self._words.values() if each.dropped), "")

    @property
    def trace(self) -> str:
        return str(Trace.of(self.forwards))

    @property
    def next_forward(self) -> Forward | None:
        """The forward a replay must meet next; None for an image that takes what it gets."""
        return self.replay[self.done] if self.replay is not None else None

    @property
    def attended_px(self) -> tuple[int, int]:
        """A size of as many pixels as a row takes into account: its picture's, and those of what it sees."""
        width, height = self.size_px
        return width, height + -(-self.order.spec.reference_px // width)

    @property
    def next_bucket(self) -> int | None:
        return self.next_forward.rows if self.next_forward is not None else None

    @property
    def active_controls(self) -> tuple[int, ...]:
        """The places in the spec of the ControlNets that run beside the coming evaluation."""
        return self._find_controls(find_running)

    @property
    def active_features(self) -> tuple[tuple[Tensor, ...], ...]:
        """What its T2I-Adapters add in the coming evaluation, in the order of the spec."""
        if self.walk is None:
            return ()
        return tuple(self.walk.guides.features[place] for place in self._find_controls(find_active))

    def _find_controls(self, find: Callable[[Sequence[Control], int, int], Iterator[int]]) -> tuple[int, ...]:
        if not self.networks.controls or self.walk is None:
            return ()
        return tuple(find(self.order.spec.controls, self.index, len(self.walk.sampling.times)))

    @property
    def charge(self) -> float:
        """The cost of the coming evaluation: a replay has the whole forward to itself, and pays for all of it."""
        usual = Forward(self.rows, (self.rows,) * len(self.active_controls))
        forward = self.next_forward or usual
        return self._charge_of_row * forward.rows + self._charge_of_control * sum(forward.control)

    def begin(self, device: torch.device) -> None:
        """Encode the words and make the first latents."""
        spec = self.order.spec
        strength = spec.start.strength if spec.start else 1.0
        sampling = self.family.sampling(spec, self.size_px, strength=strength)
        with computing(packed=self.is_packed):
            begun = begin(self.family, sampling, self.order, (1, *self.key.latent_shape))
            conditioning = condition_walk(self.family, self.order, spec, self._words, begun.mask_input)
            guides = prepare_guides(self.family, self.order, self.networks, self.size_px, device)
        repaint = begun.repaint
        if repaint is not None:
            repaint = Repaint(*(part.to(device) for part in (repaint.mask, repaint.kept, repaint.noise)))
        self.walk = SamplingRun(sampling, conditioning, begun.latents.to(device), repaint, guides=guides)
        if self.replay is not None and len(self.replay) != self.total:
            raise TraceLengthError(number=len(self.replay), wanted=self.total)

    def model_input(self) -> Tensor:
        """Return (1, C, h, w) for the coming evaluation, the same for all rows of this image."""
        assert self.walk is not None
        return self.walk.sampling.scale_input(self.walk.latents, self.index)

    def timestep(self) -> float:
        assert self.walk is not None
        return self.walk.sampling.times[self.index]

    def advance(self, prediction: Tensor, forward: Forward) -> None:
        """Take this image's rows (rows, C, h, w) of a forward: one step of its sampler."""
        walk, index = self.walk, self.index
        assert walk is not None
        stepped, walk.stepped = walk.stepped, None
        walk.latents, walk.guess = stepped or walk.sampling.step(self.guide(prediction), index, walk.latents)
        if walk.repaint is not None:
            walk.latents = walk.repaint.blend(walk.sampling, walk.latents, index)
        self.forwards.append(forward)

    def guide(self, prediction: Tensor) -> Tensor:
        """Return what its sampler takes, (1, C, h, w) in float32, of its rows of a forward."""
        return self.family.guide(blend_regions(prediction.float(), self._areas), self.order.spec)

    @property
    def is_pass_over(self) -> bool:
        """Whether `begin_next_pass` is due."""
        return bool(self._coming) and self.walk is not None and self.index == len(self.walk.sampling.times)

    def begin_next_pass(self) -> None:
        """Begin the second pass of a hires fix: another shape, the same generator and the same trace.

        Changes nothing unless it succeeds.
        """
        before, spec, coming, shape = self.walk, self.order.spec, self._coming[0], self._shapes[0]
        assert before is not None and spec.hires is not None
        generator = before.sampling.generator
        drawn = generator.get_state()
        try:
            size_px, strength = (coming.width_px, coming.height_px), spec.hires.strength
            sampling = self.family.sampling(spec, size_px, strength=strength, generator=generator)
            latents, clean = begin_larger(sampling, before.latents, (1, *shape))
            larger = replace(spec, width_px=coming.width_px, height_px=coming.height_px, hires=None)
            place = before.latents.device
            with computing(packed=self.is_packed):
                mask = build_mask_input(self.family, generator, latents.shape) if self.family.takes_mask else None
                conditioning = condition_walk(self.family, self.order, larger, self._words, mask)
                guides = prepare_guides(self.family, self.order, self.networks, size_px, place)
            walk = SamplingRun(sampling, conditioning, latents.to(place), None, self.done, guides, clean.to(place))
        except BaseException:
            generator.set_state(drawn)
            raise
        self._enter_pass()
        self.walk = walk

    def _enter_pass(self) -> None:
        """Take on the size and the plan of the next pass."""
        coming, shape = self._coming.pop(0), self._shapes.pop(0)
        self._walk_plan = self._plan[-1 - len(self._coming)] if self._plan else ()
        self.size_px = (coming.width_px, coming.height_px)
        spec = self.order.spec
        accelerated = self.family.accelerated
        is_accelerated = accelerated is not None and accelerated.takes(spec, shape)
        common = (spec.adapters, self._model_serial, list_reference_sizes(spec), is_accelerated, self.is_packed)
        self._keys = {wording: Key(spec.model, shape, words.key, *common) for wording, words in self._words.items()}
        plain = replace(spec, control=UNSET)
        before, after = (compute_evaluations_cost(plain, self.done + more, work=self.work) for more in (0, 1))
        self._charge_of_row = (after - before) / self.rows
        self._charge_of_control = UNITS_PER_ROW_EVALUATION * self.work.of_control(*self.size_px)


def find_denoiser(slot: Slot) -> Denoiser:
    """Return what runs the forwards of a slot's key."""
    return slot.family.accelerated if slot.key.is_accelerated and slot.family.accelerated else slot.family


def latent_shape(family: Family, size_px: tuple[int, int]) -> tuple[int, int, int]:
    """Return (C, h, w). Raise `LatentSizeError` for a size the model's latents cannot express."""
    cell, (width, height) = family.pixels_per_latent, size_px
    if width % cell or height % cell:
        raise LatentSizeError(step=cell)
    return family.latent_channels, height // cell, width // cell


def list_reference_sizes(spec: ImageSpec) -> tuple[tuple[int, int], ...]:
    """Return the sizes of what the model sees, in their order."""
    return tuple(each.size_px for each in spec.references)
