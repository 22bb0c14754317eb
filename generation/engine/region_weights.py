"""Blends what the rows of an image predict, each for the part of the picture that its words are for.

Edges are soft: over an eighth of a side one prediction turns into the next, because hard ones show as a seam. The
weights of a place add up to 1, and depend on the areas and the size of the latents alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot, pad

from generation.requests.regions import Area, find_cells, list_owners

SOFT = 16
"""A cell takes the mean over its neighbours within a side divided by this; shorter sides have hard edges."""


def blend_regions(prediction: Tensor, areas: Sequence[Area]) -> Tensor:
    """Return `[negative,] positive` (rows, C, h, w) of the predictions of `[negative,] [rest,] regions...`."""
    if not areas:
        return prediction
    height, width = prediction.shape[-2:]
    weights = weigh_regions(tuple(areas), height, width).to(prediction)
    blended = torch.zeros_like(prediction[:1])
    for row, weight in zip(prediction[-len(weights) :], weights, strict=True):
        blended = blended + weight * row
    return torch.cat([prediction[: -len(weights)], blended])


@lru_cache(maxsize=64)
def weigh_regions(areas: tuple[Area, ...], height: int, width: int, *, soft: int = SOFT) -> Tensor:
    """Return how much each row but that of the negative prompt counts at each cell, (rows, h, w), float32."""
    owners = torch.zeros(height, width, dtype=torch.long)
    for number, area in enumerate(areas, 1):
        owners[find_cells(area.top, area.bottom, height), find_cells(area.left, area.right, width)] = number
    hard = one_hot(owners, len(areas) + 1).permute(2, 0, 1)[None].double()
    down, across = (side // soft if soft else 0 for side in (height, width))
    padded = pad(hard, (across, across, down, down), mode="replicate")
    weights = avg_pool2d(padded, (2 * down + 1, 2 * across + 1), stride=1)[0].float()
    return weights if 0 in list_owners(areas) else weights[1:]
