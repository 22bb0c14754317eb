"""Pictures as the half of Qwen2.5-VL takes them that sees: enlarged or reduced, evened out, and cut to patches.

The library's own processor wants torchvision. What is done here is what its variant for Pillow does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

Cells = tuple[int, int]
"""Rows and columns."""
_LEAST_PX, _MOST_PX = 56 * 56, 28 * 28 * 1280
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP: what is usual where a folder does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSettings:
    """How pictures are cut. Sizes in pixels."""

    patch: int
    merge: int
    """Patches a side that make one token."""
    frames: int
    """Of a film that make one patch: a picture stands in all of them."""
    least: int = _LEAST_PX
    most: int = _MOST_PX
    mean: Sequence[float] = _MEAN
    deviation: Sequence[float] = _DEVIATION


def read_patch_settings(vision: Any, processor: Mapping[str, Any]) -> PatchSettings:
    """Return the settings of a model: the sizes that its network has, and what its folder says of pictures.

    Raise `ValueError` for numbers that nothing can be cut with.
    """
    said = processor.get("image_processor", processor)
    size = said.get("size") or {}
    found = PatchSettings(
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        frames=vision.temporal_patch_size,
        least=said.get("min_pixels") or size.get("shortest_edge") or _LEAST_PX,
        most=said.get("max_pixels") or size.get("longest_edge") or _MOST_PX,
        mean=said.get("image_mean", _MEAN),
        deviation=said.get("image_std", _DEVIATION),
    )
    numbers = [*found.mean, *found.deviation]
    is_plain = len(numbers) == 6 and all(isinstance(each, int | float) for each in numbers) and all(found.deviation)
    is_sized = isinstance(found.least, int) and isinstance(found.most, int) and 0 < found.least <= found.most
    if not (is_plain and is_sized):
        raise ValueError("sizes, means or deviations that no picture can be cut with")
    return found


def count_patches(size_px: tuple[int, int], settings: PatchSettings) -> Cells:
    """Return how many patches a picture of that size, (width, height), is cut to."""
    step = settings.patch * settings.merge
    area = size_px[0] * size_px[1]
    height, width = (round(side / step) * step for side in reversed(size_px))
    if height * width > settings.most:
        shrink = math.sqrt(area / settings.most)
        height, width = (max(step, math.floor(side / shrink / step) * step) for side in reversed(size_px))
    elif height * width < settings.least:
        grow = math.sqrt(settings.least / area)
        height, width = (math.ceil(side * grow / step) * step for side in reversed(size_px))
    return height // settings.patch, width // settings.patch


def cut_patches(picture: PillowImage.Image, settings: PatchSettings) -> Tensor:
    """Return the patches of a picture, (number, 3 x frames x patch x patch): those of one token follow each other."""
    rows, columns = count_patches(picture.size, settings)
    size_px = (columns * settings.patch, rows * settings.patch)
    if picture.size != size_px:
        picture = picture.resize(size_px, PillowImage.Resampling.BICUBIC)
    pixels = (np.asarray(picture) * (1 / 255)).astype(np.float32)
    mean, deviation = (np.asarray(each, dtype=np.float32) for each in (settings.mean, settings.deviation))
    even = torch.from_numpy((pixels - mean) / deviation)
    patch, merge = settings.patch, settings.merge
    cut = even.reshape(rows // merge, merge, patch, columns // merge, merge, patch, 3).permute(0, 3, 1, 4, 6, 2, 5)
    film = cut.unsqueeze(5).expand(-1, -1, -1, -1, -1, settings.frames, -1, -1)
    return film.reshape(rows * columns, -1)


def number_tokens(length: int, pictures: Sequence[tuple[int, Cells]]) -> Tensor:
    """Return the places (3, 1, `length`) of tokens: time, row and column. Those of words have one number for all three.

    `pictures`: where the tokens of each begin, and how many rows and columns of them it has. What follows one counts on
    from its longer side.
    """
    places, done, next_place = list[Tensor](), 0, 0
    for begin, (rows, columns) in pictures:
        places.append(torch.arange(next_place, next_place + begin - done).expand(3, -1))
        next_place += begin - done
        cells = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))
        places.append(cells.T + next_place)
        done, next_place = begin + rows * columns, next_place + max(rows, columns)
    places.append(torch.arange(next_place, next_place + length - done).expand(3, -1))
    return torch.cat(places, dim=1)[:, None]
