"""A user's request: frozen, checked when built, with no id and no place in any queue.

`ImageSpec` fully determines one picture's making; a `GenerationRequest` is a spec and how many to make of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from msgspec import UNSET, UnsetType

from generation.requests.comparison import Comparison, require_layout
from generation.requests.control import Control, check_controls
from generation.requests.edits import Hires, StartImage, Upscale, Variation, check_hires, check_margins
from generation.requests.image_prompt import ImagePrompt, require_painting
from generation.requests.lora_defaults import HasDefaults, find_lora_defaults
from generation.requests.origin import Origin
from generation.requests.passes import Pass, count_steps_run
from generation.requests.prompt import NEGATIVE_NAME, PROMPT_NAME, check_alt, check_prompt
from generation.requests.prompt_addons import Adapter, Embedding, ParsedPrompts, check_extras
from generation.requests.prompt_schedule import Wording, plan_wordings
from generation.requests.prompt_weights import FIRST_SYNTAX, SYNTAX
from generation.requests.ranges import (
    CACHE,
    CLIP_SKIP,
    MAX_COUNT,
    MAX_GUIDANCE,
    MAX_SEED,
    SEED,
    STEPS,
    Range,
    check_above,
    check_number,
    check_range,
    check_ranges,
    check_sampler,
    check_size,
)
from generation.requests.references import MadeFromFiles, Reference, check_references
from generation.requests.regions import FIRST_SYNTAX_WITH_REGIONS, check_regions, list_row_prompts
from generation.requests.replay import Replay as Replay
from generation.requests.row_prompts import ReadByRows
from generation.requests.said import list_said
from generation.requests.samplers import SAMPLERS
from generation.requests.template import Template
from generation.translatable import Phrase
from generation.validation import check, checked

_GUIDANCE, _RESCALE = Phrase("Guidance"), Phrase("Guidance rescale")
_SYNTAX = Range(Phrase("The syntax of the prompt"), FIRST_SYNTAX, SYNTAX)
_COUNT, _ONE = (Range(Phrase("Count"), 1, most) for most in (MAX_COUNT, 1))


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec(MadeFromFiles, ReadByRows):
    """All the choices that make one picture. Sizes in pixels.

    Raise `InvalidRequestError` naming the value at fault: a spec that exists can be painted.
    """

    prompt: str
    negative: str = ""
    model: str
    width_px: int
    height_px: int
    steps: int
    guidance: float
    sampler: str
    seed: int
    start: StartImage | None = None
    variation: Variation | None = None
    upscale: Upscale | None = None
    hires: Hires | None = None
    adapters: tuple[Adapter, ...] = ()
    """LoRA at work, in the order they are added up: another order is other bits."""
    embeddings: tuple[Embedding, ...] = ()  # textual inversions that words of the prompts call
    clip_skip: int = 1
    """Which layer of the text encoder is listened to, counted from the end; 1 leaves out none."""
    syntax: int | UnsetType = UNSET
    """By which syntax its prompts are read (`generation.requests.prompt_weights`). Unset is the first, and is not
    written: a picture from before there was a second keeps its file, to the byte."""
    rescale: float | UnsetType = UNSET
    """How far guidance is scaled back to the spread of the prompt's own prediction; unset: not at all."""
    cache: int | UnsetType = UNSET  # one of so many evaluations is whole (`engine.step_cache`); unset: all
    true_cfg: float | UnsetType = UNSET
    """How strongly the negative prompt is avoided by a model whose network reads `guidance` as a number; 1: not at all.
    Unset for every other model, where `guidance` says that."""
    template: Template | UnsetType = UNSET
    """What its prompts were drawn from; in a request, what they are to be drawn from. Not written where not drawn."""
    control: tuple[Control, ...] | UnsetType = UNSET
    """ControlNets at work, in the order they are added up. Unset is none, and is not written."""
    reference: tuple[Reference, ...] | UnsetType = UNSET
    """Pictures that the model sees, in their order. Unset is none, and is not written."""
    image_prompt: ImagePrompt | UnsetType = UNSET  # a reference that an IP-Adapter looks at; unset, and not written

    @classmethod
    def for_model(
        cls,
        model: HasDefaults,
        *,
        size_px: tuple[int, int] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        clip_skip: int | None = None,
        **rest: Any,
    ) -> Self:
        """Return a spec of that model, whose words are in the prompts; None is its default, `rest` more fields.

        A LoRA that makes a model fast chooses before it; a negative prompt of the model that cannot work then is left
        out.
        """
        chosen = find_lora_defaults(model, rest)
        own = chosen.over(model.defaults) if chosen else model.defaults
        if chosen and rest.get("negative") == model.defaults.negative and not own.can_avoid(guidance):
            rest["negative"] = ""
        width_px, height_px = size_px or (own.native_px, own.native_px)
        return cls(
            model=model.name,
            width_px=width_px,
            height_px=height_px,
            steps=own.steps if steps is None else steps,
            guidance=own.guidance if guidance is None else guidance,
            sampler=sampler or own.sampler,
            clip_skip=own.clip_skip if clip_skip is None else clip_skip,
            rescale=own.rescale or UNSET,
            cache=own.cache if own.cache > 1 else UNSET,
            true_cfg=own.choose_true_cfg(rest.get("negative", "")) if own.embeds_guidance else UNSET,
            **rest,
        )

    def __post_init__(self) -> None:
        check_prompt(self.prompt, name=PROMPT_NAME)
        if self.negative != "":
            check_prompt(self.negative, name=NEGATIVE_NAME, may_be_empty=True)
        check_size(self.width_px, self.height_px)
        syntax = self.syntax or FIRST_SYNTAX
        check_ranges((STEPS, self.steps), (SEED, self.seed), (CLIP_SKIP, self.clip_skip), (_SYNTAX, syntax))
        check_number(_GUIDANCE, self.guidance, low=0, high=MAX_GUIDANCE)
        check_sampler(self.sampler, self.steps)
        if self.rescale is not UNSET:
            check_above(_RESCALE, self.rescale, low=0, high=1)
        if self.cache is not UNSET:
            check_ranges((CACHE, self.cache))
        if self.true_cfg is not UNSET:
            check_number(_GUIDANCE, self.true_cfg, low=1, high=MAX_GUIDANCE)
        wordings = self.wordings if "[" in self.prompt or "[" in self.negative else ()  # raises for too many
        has_tags = "<" in self.prompt or "<" in self.negative
        if has_tags and syntax >= FIRST_SYNTAX_WITH_REGIONS and not self.is_undrawn:
            check_regions(self.prompt, self.negative, wordings)
        if self.adapters or self.embeddings:
            check_extras(self.adapters, self.embeddings)
        if self.start is not None and self.start.margins is not None:
            check_margins(self.start, self.start_size_px)
        if self.hires is not None:
            check_hires(self.result_size_px, from_picture=self.start is not None or self.upscale is not None)
        if self.control is not UNSET:
            check_controls(self.controls, is_upscale=self.upscale is not None, has_regions=bool(self.areas))
        if self.reference is not UNSET:
            check_references(self.references, is_upscale=self.upscale is not None)
        if self.image_prompt is not UNSET:
            require_painting(is_upscale=self.upscale is not None)

    @property
    def said(self) -> tuple[str, str]:
        """What is asked for and what is to be avoided, each with the names it calls taken apart into words."""
        return list_said(Wording(self.prompt, self.negative), self.readings, self.adapters, self.embeddings)

    @property
    def plan(self) -> tuple[tuple[Wording, ...], ...]:
        """The wording of each model evaluation of each pass; none for prompts that never change."""
        return plan_wordings(Wording(self.prompt, self.negative), self.passes, self.syntax_version)

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """What its prompts are at one time or another; none for prompts that never change."""
        return tuple(dict.fromkeys(each for walk in self.plan for each in walk))

    @property
    def readings(self) -> tuple[Wording, ...]:
        """What some row reads at one time or another; none where all rows read the prompts as they stand."""
        both = self.prompt + self.negative
        wordings = self.wordings if "[" in both else ()
        if "<" not in both or self.is_undrawn:
            return wordings
        read = [
            Wording(row, each.negative)
            for each in wordings or (Wording(self.prompt, self.negative),)
            for row in list_row_prompts(each.prompt, self.syntax_version)
        ]
        return tuple(dict.fromkeys(read))

    @property
    def num_evaluations(self) -> int:
        """Model evaluations this image takes, counting the steps a start image leaves out."""
        return sum(each.evaluations for each in self.passes)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The walks that make this picture: none for an enlargement, two with hires fix, else one."""
        if self.upscale is not None:
            return ()
        first = self._plan_pass((self.width_px, self.height_px), self.start.strength if self.start else 1.0)
        if self.hires is None:
            return (first,)
        return first, self._plan_pass(self.result_size_px, self.hires.strength)

    def _plan_pass(self, size_px: tuple[int, int], strength: float) -> Pass:
        steps = count_steps_run(self.steps, strength)
        return Pass(*size_px, SAMPLERS[self.sampler].num_evaluations(steps, of=self.steps), steps)

    @property
    def result_size_px(self) -> tuple[int, int]:
        """Width and height of the finished picture."""
        if self.hires is not None:
            return self.hires.enlarge((self.width_px, self.height_px))
        factor = self.upscale.factor if self.upscale else 1
        return self.width_px * factor, self.height_px * factor

    @property
    def start_size_px(self) -> tuple[int, int]:
        """Width and height that the file of `start` (or `upscale`) must have."""
        margins, size_px = self.start.margins if self.start else None, (self.width_px, self.height_px)
        return margins.inside(size_px) if margins else size_px


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """`count` pictures of one spec. Image i takes seed + i (a variation keeps its seed and turns its second one)."""

    spec: ImageSpec
    count: int = 1
    parent: str | None = None
    """The id of the image this was made from (reroll, variation, upscale), for the family tree of a recipe."""
    replay: Replay | None = None
    """Set when the point is to get the very same bytes again; then `count` is 1."""
    drawn: tuple[ParsedPrompts, ...] | UnsetType = UNSET  # of `spec.template`: see `generation.requests.drawing`
    is_spoiler: bool | UnsetType = UNSET
    alt: str | UnsetType = UNSET
    """What its member says for those who cannot see the pictures. Unset, as for a spoiler, it is not written."""
    comparison: Comparison | UnsetType = UNSET
    cells: tuple[ImageSpec, ...] | UnsetType = UNSET
    chosen_by: dict[str, Origin] | UnsetType = UNSET  # unset, and not written, where no default chose anything

    def __post_init__(self) -> None:
        check(self.spec)  # it may have been read from storage
        if self.cells or self.comparison:
            check(self.specs)
            is_other = self.drawn or self.replay or any(cell.sources for cell in self.specs)
            require_layout(self.comparison, self.specs, first=self.spec, count=0 if is_other else self.count)
        check_ranges((_COUNT if self.replay is None else _ONE, self.count))
        if self.alt:
            check_alt(self.alt)
        if self.drawn:
            check_range(Phrase("Drawn prompts"), len(self.drawn), low=self.count, high=self.count)
            check(tuple(self.images()))

    def shown_like(self, other: GenerationRequest, *, alt: str | None = None) -> Self:
        """Return the request shown as another one is; `alt` is of that picture, where this is the same."""
        return replace(self, is_spoiler=other.is_spoiler or self.is_spoiler, alt=alt or UNSET)

    @property
    def is_undrawn(self) -> bool:
        """Whether its prompts hold choices that have to be drawn before anything is painted."""
        return bool(self.spec.template) and not self.drawn and not self.cells and self.replay is None

    @property
    def specs(self) -> tuple[ImageSpec, ...]:
        """The spec that was asked for, and those of the pictures that differ by words; of a comparison, all of its."""
        return self.cells or ((self.spec, *self.images()) if self.drawn else (self.spec,))

    def images(self) -> Iterator[ImageSpec]:
        """Yield the spec of each picture, in the order they are shown."""
        for index in range(0 if self.cells else self.count):
            turned = _turn_seed(self.spec, index)
            yield replace(turned, **self.drawn[index]._asdict()) if self.drawn else turned
        yield from self.cells or ()


def _turn_seed(spec: ImageSpec, index: int) -> ImageSpec:
    if index == 0:
        return spec
    if spec.variation is not None:
        turned = replace(spec.variation, seed=(spec.variation.seed + index) % (MAX_SEED + 1))
        return replace(spec, variation=turned)
    return replace(spec, seed=(spec.seed + index) % (MAX_SEED + 1))
