"""What a person typed, with what was chosen for what they left open; and the request that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from generation.admission.errors import AspectOrSizeError
from generation.models.catalog import Model
from generation.models.sizes import find_closest_shape, get_native_size, get_shape_size, parse_size
from generation.requests.drawing import write_prompts
from generation.requests.lora_defaults import find_lora_defaults
from generation.requests.lora_option import split_loras
from generation.requests.origin import Origin
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest, ImageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The options of one /imagine, with what was chosen for those left out; None leaves it to the model."""

    prompt: str
    model: Model
    aspect: str | None = None
    size: str | None = None
    count: int | None = None
    seed: int | None = None
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    lora: str | None = None
    clip_skip: int | None = None
    spoiler: bool | None = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    """How the pictures are shown, and who chose what: as the request has it."""
    notes: tuple[str, ...] = ()
    """What to tell of flags in the prompt, and of defaults that were passed over."""


def build_request(typed: Typed, *, start_size_px: tuple[int, int] | None = None) -> GenerationRequest:
    """Return the request, with the model's own choices where none was made. Raise `InvalidRequestError`."""
    prompt, negative = typed.model.defaults.complete(typed.prompt, typed.negative, typed.guidance)
    written = write_prompts(typed.model, prompt, negative, split_loras(typed.lora) if typed.lora else ())
    typed = _leave_to_loras(typed, written)
    spec = ImageSpec.for_model(
        typed.model,
        **written,
        size_px=choose_size(typed, start_size_px),
        steps=typed.steps,
        guidance=typed.guidance,
        sampler=typed.sampler,
        clip_skip=typed.clip_skip,
        seed=draw_seed() if typed.seed is None else typed.seed,
    )
    return GenerationRequest(spec=spec, count=1 if typed.count is None else typed.count, **typed.shown)


def _leave_to_loras(typed: Typed, written: Mapping[str, Any]) -> Typed:
    """Return it without the defaults of a member or a server for what a LoRA chooses, which was typed for this one."""
    chosen = find_lora_defaults(typed.model, written)
    if chosen is None:
        return typed
    origins: Mapping[str, Origin] = typed.shown.get("chosen_by", {})
    left = {name for name in chosen.given if origins.get(name, Origin.TYPED) is not Origin.TYPED}
    if not left:
        return typed
    kept = {name: origin for name, origin in origins.items() if name not in left}
    shown = {name: value for name, value in typed.shown.items() if name != "chosen_by"}
    if any(origin is not Origin.TYPED for origin in kept.values()):
        shown["chosen_by"] = kept
    cleared: dict[str, Any] = dict.fromkeys(left, None)
    return replace(typed, shown=shown, **cleared)


def choose_size(typed: Typed, start_size_px: tuple[int, int] | None) -> tuple[int, int]:
    """Return what will be painted, in pixels, from a picture of that size (None: from none, or none is known)."""
    if typed.size is not None and typed.aspect is not None:
        raise AspectOrSizeError
    if typed.size is not None:
        return parse_size(typed.model, typed.size)
    if typed.aspect is not None:
        return get_shape_size(typed.model, typed.aspect)
    if start_size_px is not None:
        return find_closest_shape(typed.model, start_size_px)
    return get_native_size(typed.model)
