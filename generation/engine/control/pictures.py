"""What the ControlNets of an image see: its pictures, prepared as the spec says, at the size of the pass."""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.pixels import read_any_picture, read_picture, read_start
from generation.engine.references import list_reference_sources
from generation.images.preprocessors import preprocess
from generation.jobs.protocol import GenerateCommand
from generation.requests.control import Control

NAME = "The picture of a ControlNet"
REFERENCE = "The reference"


def read_control_pictures(order: GenerateCommand) -> tuple[np.ndarray, ...]:
    """Return the pictures as they were given, (height, width, 3) uint8. Raise `InvalidRequestError` if one is missing
    or of another size."""
    size_px = order.spec.width_px, order.spec.height_px
    return tuple(read_picture(png, size_px, name=NAME) for png, _ in _list_given(order))


def list_sources(order: GenerateCommand) -> list[tuple[str, np.ndarray]]:
    """Return the pictures that an order is made from, each with its SHA-256: the one it starts from comes first."""
    start, picture = order.spec.upscale or order.spec.start, read_start(order)
    first = [(start.sha256, picture)] if start is not None and picture is not None else []
    given = zip(order.spec.controls, read_control_pictures(order), strict=True)
    seen = order.spec.image_prompt
    last = [(seen.sha256, read_any_picture(order.image_prompt_png, name=REFERENCE))] if seen else []
    return [*first, *((control.sha256, each) for control, each in given), *list_reference_sources(order), *last]


def prepare_control_pictures(order: GenerateCommand, size_px: tuple[int, int]) -> tuple[Tensor, ...]:
    """Return one (1, 3, height, width) in 0..1 for each ControlNet. In a larger second pass the map is enlarged."""
    given = order.spec.width_px, order.spec.height_px
    return tuple(
        _prepare(png, given, control.preprocessor, control.version, size_px) for png, control in _list_given(order)
    )


def _list_given(order: GenerateCommand) -> list[tuple[bytes | None, Control]]:
    return list(zip_longest(order.control_pngs[: len(order.spec.controls)], order.spec.controls))


@lru_cache(maxsize=8)
def _prepare(
    png: bytes | None, given_px: tuple[int, int], preprocessor: str, version: int, size_px: tuple[int, int]
) -> Tensor:
    """Return what a ControlNet sees; several pictures of a job see the same."""
    made = preprocess(read_picture(png, given_px, name=NAME), preprocessor, version)
    if size_px != given_px:
        made = np.asarray(PillowImage.fromarray(made).resize(size_px, PillowImage.Resampling.LANCZOS))
    scaled = torch.from_numpy(made.astype(np.float32) / 255.0)
    return scaled.permute(2, 0, 1)[None].contiguous()
