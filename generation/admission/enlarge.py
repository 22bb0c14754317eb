"""A request to enlarge a picture of one's own: the same wherever it comes from."""

from __future__ import annotations

from generation.admission.errors import EnlargeSizeError
from generation.images.errors import NotAPictureError
from generation.models.catalog import Model
from generation.requests.edits import Upscale
from generation.requests.ranges import MAX_SIDE_PX, MIN_SIDE_PX, SIDE_MULTIPLE_PX
from generation.requests.spec import ImageSpec

Size = tuple[int, int]


def build_enlargement(model: Model, upscale: Upscale, size_px: Size | None, *, prompt: str) -> ImageSpec:
    """Return what enlarges a picture of that size. Raise as `fit_sides` does."""
    return ImageSpec.for_model(
        model, prompt=prompt, size_px=fit_sides(size_px, factor=upscale.factor), seed=0, upscale=upscale
    )


def fit_sides(size_px: Size | None, *, factor: int) -> Size:
    """Return a picture's size as the model takes it.

    Raise `EnlargeSizeError` for one that cannot be enlarged, `NotAPictureError` where no size is known.
    """
    if size_px is None:
        raise NotAPictureError
    width, height = size_px
    if max(size_px) * factor > MAX_SIDE_PX or min(size_px) < MIN_SIDE_PX:
        raise EnlargeSizeError(width=width, height=height, least=MIN_SIDE_PX, most=MAX_SIDE_PX // factor)
    return width // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX, height // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX
