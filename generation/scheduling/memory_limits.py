"""Whether the memory of some worker is enough for a picture, by what the workers say of theirs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from generation.models.errors import ModelTooLargeHereError, PictureTooLargeError
from generation.requests.recipe import LADDER
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.placement import Needs, Offer

_LEAST_PX = 64 * 64
_FIRST_PX = 512 * 512


def count_pixels(spec: ImageSpec) -> int:
    """Return the pixels that its network sees at once: those of its largest pass and of the pictures beside it."""
    return max((each.width_px * each.height_px for each in spec.passes), default=0) + spec.reference_px


def sized(needs: Needs, spec: ImageSpec) -> Needs:
    """Return needs with the picture's pixels, rounded up to 512, 1024, 2048 squared, and its rows, to 2, 4, 8: few
    sizes make few classes of work."""
    pixels, rounded = count_pixels(spec), _FIRST_PX
    while rounded < pixels:
        rounded *= 4
    return replace(
        needs, pixels=rounded if pixels else 0, rows=next(rung for rung in LADDER[1:] if rung >= spec.num_rows)
    )


def require_memory(request: GenerationRequest, offers: Sequence[Offer]) -> None:
    """Raise `InvalidRequestError`, with what would fit, if no worker that has the model has the memory for a picture.

    One that does not say how large pictures may be, as a cloud, takes all.
    """
    for spec in request.specs:
        able = [each for each in offers if not each.models or spec.model in each.models]
        limits = [each.largest_px.get(spec.model) for each in able]
        most = max((each.find_for(spec.num_rows) for each in limits if each is not None), default=0)
        if not limits or None in limits or count_pixels(spec) <= most:
            continue
        if most < _LEAST_PX:
            raise ModelTooLargeHereError(model=spec.model)
        side_px = int(most**0.5) // 64 * 64
        width, height = spec.result_size_px
        raise PictureTooLargeError(width=width, height=height, model=spec.model, side=side_px)
