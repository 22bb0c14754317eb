"""From typed prompts to those that are painted: choices are kept as a template, and drawn for each picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from generation.requests.prompt_addons import AddonLibrary, ParsedPrompts, read_prompts
from generation.requests.prompt_weights import SYNTAX
from generation.requests.spec import GenerationRequest
from generation.requests.template import Template
from generation.requests.wildcards import Dice, Lists, draw, holds_choices


def write_prompts(model: AddonLibrary, prompt: str, negative: str = "", loras: Iterable[str] = ()) -> dict[str, Any]:
    """Return typed prompts as fields of a spec: read, or as a template if they hold choices that are to be drawn.

    `loras` are called after those of the prompt. Raise `InvalidRequestError`.
    """
    has_signs = "{" in prompt or "__" in prompt or "{" in negative or "__" in negative
    if has_signs and (holds_choices(prompt) or holds_choices(negative)):
        written = " ".join((prompt, *(f"<lora:{each}>" for each in loras)))
        template = Template(prompt=written, negative=negative)
        return ParsedPrompts(written, negative, (), (), SYNTAX)._asdict() | {"template": template}
    return read_prompts(model, prompt, negative, loras)._asdict() | {"template": UNSET}


def list_prompts(request: GenerationRequest) -> list[str]:
    """Return the prompt that was asked for, then those that were drawn from it, each once."""
    return list(dict.fromkeys(spec.prompt for spec in request.specs))


def draw_prompts(request: GenerationRequest, model: AddonLibrary, lists: Lists) -> GenerationRequest:
    """Return the request with the prompts of each picture drawn by its seed; as it is if there is nothing to draw.

    `lists` are those of the server. Raise `InvalidRequestError` for a picture whose prompts cannot be drawn or painted.
    """
    template = request.spec.template
    if not template or not request.is_undrawn:
        return request
    drawn = []
    for spec in request.images():
        dice = Dice(spec.seed)
        prompt = draw(template.prompt, lists, dice)
        drawn.append(read_prompts(model, prompt, draw(template.negative, lists, dice)))
    return replace(request, drawn=tuple(drawn))
