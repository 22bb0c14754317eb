"""Which sizes a model paints: the shapes offered by name, the nearest paintable size to a typed one, enlargements."""

from __future__ import annotations

import re
from collections.abc import Mapping

from generation.errors import InvalidRequestError
from generation.models.catalog import Model
from generation.models.errors import AlreadyLargestError, SideStepError, SizeFormatError, SizeTooLargeError
from generation.requests.edits import DOUBLE
from generation.requests.errors import UnknownAspectError
from generation.requests.ranges import MAX_SIDE_PX
from generation.requests.spec import ImageSpec
from generation.requests.upscalers import Upscaler, check_upscale

MAX_GROWTH = 2
"""A side may be this many times the model's native side: beyond, pictures repeat themselves and cost too much."""
_SIZE = re.compile(r"\s*(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*", re.IGNORECASE)


def get_native_size(model: Model) -> tuple[int, int]:
    return model.defaults.native_px, model.defaults.native_px


def get_shape_size(model: Model, name: str) -> tuple[int, int]:
    """Return width and height of an aspect ratio such as `3:2`. Raise `InvalidRequestError` naming those there are."""
    shapes = model.shapes()
    if name not in shapes:
        raise UnknownAspectError(name=name[:20], aspects=", ".join(shapes))
    return shapes[name]


def parse_size(model: Model, text: str) -> tuple[int, int]:
    """Return `500x700` as the nearest paintable size. Raise `InvalidRequestError` if it is no size, or too large."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise SizeFormatError(text=text[:20])
    grid = 64 if model.defaults.native_px >= 512 else model.info.side_multiple_px
    width, height = (round(int(side) / grid) * grid for side in found.groups())
    require_size(model, (width, height))
    return width, height


def find_nearest_size(model: Model, size_px: tuple[int, int]) -> tuple[int, int]:
    """Return the size itself if the model paints it, else the nearest shape."""
    try:
        return parse_size(model, "{}x{}".format(*size_px))
    except InvalidRequestError:
        return find_closest_shape(model, size_px)


def find_closest_shape(model: Model, size_px: tuple[int, int]) -> tuple[int, int]:
    """Return the offered shape whose proportions come nearest to those of `size_px`."""
    shapes = model.shapes()
    return shapes[_find_closest(shapes, size_px[0] / size_px[1])]


def find_closest_aspect(model: Model, name: str) -> str:
    """Return the aspect ratio that is offered itself, else the nearest to it. `name`: two whole numbers above 0."""
    shapes = model.shapes()
    if name in shapes:
        return name
    width, height = map(int, name.split(":"))
    return _find_closest(shapes, width / height)


def _find_closest(shapes: Mapping[str, tuple[int, int]], ratio: float) -> str:
    return min(
        shapes,
        key=lambda name: max(ratio * shapes[name][1] / shapes[name][0], shapes[name][0] / shapes[name][1] / ratio),
    )


def require_size(model: Model, size_px: tuple[int, int]) -> None:
    """Raise `InvalidRequestError` if the model should not be asked for a picture that large."""
    width, height = size_px
    if width % (step := model.info.side_multiple_px) or height % step:
        raise SideStepError(step=step, model=model.name, width=width, height=height)
    limit = min(MAX_SIDE_PX, MAX_GROWTH * model.defaults.native_px)
    if max(size_px) > limit:
        raise SizeTooLargeError(width=width, height=height, model=model.name, most=limit)


def require_enlargeable(spec: ImageSpec, model: Model) -> None:
    """Raise `InvalidRequestError` if the enlargement that `spec` asks for is larger than pictures get here.

    Also if its upscaler is not here, or is another one by now.
    """
    if spec.upscale is not None:
        check_upscale(model.upscalers, spec.upscale)
    if max(spec.result_size_px) > MAX_SIDE_PX:
        raise AlreadyLargestError


def choose_upscaler(model: Model, preferred: str | None) -> Upscaler | None:
    """Return the `preferred` upscaler if it is here, else None for what the model itself has, else the first added."""
    found = next((each for each in model.upscalers if each.name == preferred), None)
    if found is not None or model.upscaler is not None:
        return found
    return model.upscalers[0] if model.upscalers else None


def is_upscaled(model: Model) -> bool:
    """Return whether an upscaler enlarges the model's pictures; else they are only resized."""
    return model.upscaler is not None or bool(model.upscalers)


def can_be_upscaled(spec: ImageSpec, factor: int = DOUBLE) -> bool:
    """Return whether a finished picture of that spec may be upscaled (once more)."""
    return max(spec.result_size_px) * factor <= MAX_SIDE_PX
