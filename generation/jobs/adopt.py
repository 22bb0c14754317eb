"""Turns another tool's settings into a request of ours; the model's defaults replace what we lack or cannot do."""

from __future__ import annotations

from generation.errors import InvalidRequestError
from generation.images.interchange.foreign import ForeignSettings
from generation.jobs.errors import NoPromptInFileError, PromptNotReadError
from generation.models.catalog import Model
from generation.models.sizes import find_nearest_size
from generation.requests.prompt_addons import read_prompts
from generation.requests.ranges import MAX_SEED
from generation.requests.spec import GenerationRequest, ImageSpec


def adopt(found: ForeignSettings, model: Model, *, seed: int) -> GenerationRequest:
    """Return the request, its words read as typed ones are: LoRA and learned words called, and refused if not here.

    `seed` is taken where the file has none. Raise `InvalidRequestError`, also where it has no prompt, or too long a
    one.
    """
    if not found.prompt:
        raise _explain_no_prompt(found)
    written = read_prompts(model, " ".join((found.prompt, *found.loras)), found.negative)
    spec = ImageSpec.for_model(
        model,
        **written._asdict(),
        size_px=None if found.size_px is None else find_nearest_size(model, found.size_px),
        steps=found.steps,
        guidance=found.guidance,
        sampler=found.sampler,
        seed=seed if found.seed is None else seed_here(found.seed),
        clip_skip=_clip_skip(found, model),
    )
    return GenerationRequest(spec=spec)


def seed_here(seed: int) -> int:
    """Return the seed's last 32 bits: torch draws noise on a processor from no more, there as here."""
    return seed & MAX_SEED


def _explain_no_prompt(found: ForeignSettings) -> InvalidRequestError:
    if not found.unread:
        return NoPromptInFileError(tool=found.tool)
    return PromptNotReadError(tool=found.tool, names=", ".join(found.unread))


def _clip_skip(found: ForeignSettings, model: Model) -> int:
    """Return our clip skip. Elsewhere the layer before the last is SDXL's, whatever is set; here that is 1."""
    return 1 if model.family == "sdxl" or found.clip_skip is None else found.clip_skip
