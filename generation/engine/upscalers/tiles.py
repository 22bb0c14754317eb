"""Upscales a finished picture tile by tile, or resizes it where nothing can upscale it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from PIL import Image as PillowImage

from generation.requests.edits import DOUBLE


class TileUpscaler(Protocol):
    """Enlarges square tiles of `tile_px`, with a margin of `overlap_px` on each side, `factor` times."""

    @property
    def tile_px(self) -> int: ...
    @property
    def overlap_px(self) -> int: ...
    @property
    def factor(self) -> int: ...
    def enlarge(self, tile: np.ndarray) -> np.ndarray:
        """Return (factor side, factor side, 3) uint8 for (side, side, 3) uint8."""


class UpscaleTask:
    """One upscale, tile by tile, so that others can take their turns in between.

    Tiles have one fixed size (the picture is mirrored at its edges), overlap, and are pasted without their margins.
    """

    def __init__(self, picture: np.ndarray, upscaler: TileUpscaler | None) -> None:
        self._picture = picture
        self._upscaler = upscaler
        height, width = picture.shape[:2]
        factor = DOUBLE if upscaler is None else upscaler.factor
        self.result = np.zeros((height * factor, width * factor, 3), np.uint8)
        self._tiles = [(0, 0)] if upscaler is None else list(_list_tile_origins(height, width, upscaler.tile_px))

    @property
    def is_done(self) -> bool:
        return not self._tiles

    def advance(self) -> None:
        """Compute the next tile."""
        top, left = self._tiles[0]
        if self._upscaler is None:
            self.result = _resize_lanczos(self._picture)
        else:
            self._enlarge_tile(self._upscaler, top, left)
        del self._tiles[0]  # only now: without memory for it, it is tried again

    def _enlarge_tile(self, upscaler: TileUpscaler, top: int, left: int) -> None:
        side, factor = upscaler.tile_px, upscaler.factor
        tile = upscaler.enlarge(_cut_tile(self._picture, top, left, side, overlap_px=upscaler.overlap_px))
        inner = tile[factor * upscaler.overlap_px :, factor * upscaler.overlap_px :]
        target = self.result[factor * top : factor * (top + side), factor * left : factor * (left + side)]
        target[:] = inner[: target.shape[0], : target.shape[1]]


def _cut_tile(picture: np.ndarray, top: int, left: int, tile_px: int, *, overlap_px: int) -> np.ndarray:
    margin = [(overlap_px, overlap_px + tile_px)] * 2 + [(0, 0)]
    padded = np.pad(picture, margin, mode="symmetric")
    side = tile_px + 2 * overlap_px
    return padded[top : top + side, left : left + side]


def _list_tile_origins(height: int, width: int, tile_px: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            yield top, left


def _resize_lanczos(picture: np.ndarray) -> np.ndarray:
    image = PillowImage.fromarray(picture)
    enlarged = image.resize((image.width * DOUBLE, image.height * DOUBLE), PillowImage.Resampling.LANCZOS)
    return np.asarray(enlarged)
