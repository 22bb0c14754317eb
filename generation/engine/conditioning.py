"""What an image's rows are given in a walk beside latents and timesteps, for each wording of its prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from generation.engine.families.base import MASK, Conditioning, Family, Words
from generation.engine.references import list_seen
from generation.jobs.protocol import GenerateCommand
from generation.requests.prompt_schedule import Wording
from generation.requests.spec import ImageSpec
from generation.validation import stored


def condition_walk(
    family: Family,
    order: GenerateCommand,
    spec: ImageSpec,
    words: Mapping[Wording, Words],
    mask_input: Tensor | None,
) -> Mapping[Wording, Conditioning]:
    """Return the conditioning of a walk of that spec: the order's own, or that of its second pass."""
    mask = {} if mask_input is None else {MASK: mask_input.repeat(spec.num_rows, 1, 1, 1)}
    seen = list_seen(order)

    def condition(wording: Wording, read: Words) -> Conditioning:
        worded = reword(spec, wording)
        return family.edit(worded, read, seen) if seen else family.condition(worded, read)

    return {wording: {**condition(wording, read), **mask} for wording, read in words.items()}


def reword(spec: ImageSpec, wording: Wording) -> ImageSpec:
    """Return the spec with those prompts, which may be empty."""
    if wording == (spec.prompt, spec.negative):
        return spec
    with stored():
        return replace(spec, prompt=wording.prompt, negative=wording.negative)
