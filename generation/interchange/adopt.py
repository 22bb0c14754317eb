"""From another tool's settings to a request of ours: what we lack, or cannot do, the model's own choice stands for."""

from __future__ import annotations

from generation.catalog import Model
from generation.errors import InvalidRequest
from generation.interchange.foreign import Foreign
from generation.phrase import Phrase
from generation.request import GenerationRequest, ImageSpec
from generation.sizes import native_size, nearest_size


def adopt(found: Foreign, model: Model, *, seed: int) -> GenerationRequest:
    """`seed` is taken where the file has none. Raises `InvalidRequest` where it has no prompt."""
    if not found.prompt:
        problem = Phrase("holds settings of {tool}, but no prompt that I can find.", tool=found.tool)
        raise InvalidRequest(what=Phrase("The file"), problem=problem)
    width_px, height_px = _size(found, model)
    defaults = model.defaults
    spec = ImageSpec(
        prompt=found.prompt,
        negative=found.negative,
        model=model.name,
        width_px=width_px,
        height_px=height_px,
        steps=defaults.steps if found.steps is None else found.steps,
        guidance=defaults.guidance if found.guidance is None else found.guidance,
        sampler=found.sampler or defaults.sampler,
        seed=seed if found.seed is None else found.seed,
    )
    return GenerationRequest(spec=spec)


def _size(found: Foreign, model: Model) -> tuple[int, int]:
    return native_size(model) if found.size_px is None else nearest_size(model, found.size_px)
