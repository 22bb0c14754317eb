"""Upscales a finished picture to twice its size: Swin2SR in tiles where a model has an upscaler, else Lanczos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from transformers import Swin2SRForImageSuperResolution

from generation.engine.devices import Device
from generation.engine.loading import load_transformer
from generation.models.layout import ModelRefusedError, check_part

_TILE_PX = 64
_OVERLAP_PX = 8
FACTOR = 2


class Upscaler:
    """A loaded `Swin2SRForImageSuperResolution` of factor two, float32. Raise `ModelRefusedError` as models do."""

    def __init__(self, folder: Path, device: Device) -> None:
        check_part(folder)
        self._device = Device(device.home, torch.float32, device.num_threads)
        self._model: Any = load_transformer(Swin2SRForImageSuperResolution, folder, self._device)
        if self._model.config.upscale != FACTOR:
            raise ModelRefusedError(folder=str(folder), problem="it does not double.", remedy="Use an x2 upscaler.")

    def enlarge(self, tile: np.ndarray) -> np.ndarray:
        """Return (2 side, 2 side, 3) uint8 for (side, side, 3) uint8."""
        pixels = torch.from_numpy(tile.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous()
        output = self._model(pixels.to(self._device.torch_device)).reconstruction
        scaled = output[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        side = FACTOR * tile.shape[0]
        enlarged: np.ndarray = (scaled[:side, :side] * 255).round().astype(np.uint8)
        return enlarged


class UpscaleTask:
    """One upscale, tile by tile, so that others can take their turns in between.

    Tiles have one fixed size (the picture is mirrored at its edges), overlap, and are pasted without their margins.
    """

    def __init__(self, picture: np.ndarray, upscaler: Upscaler | None) -> None:
        self._picture = picture
        self._upscaler = upscaler
        height, width = picture.shape[:2]
        self.result = np.zeros((height * FACTOR, width * FACTOR, 3), np.uint8)
        self._tiles = list(_list_tile_origins(height, width)) if upscaler else [(0, 0)]

    @property
    def is_done(self) -> bool:
        return not self._tiles

    def advance(self) -> None:
        """Compute the next tile."""
        top, left = self._tiles[0]
        if self._upscaler is None:
            self.result = _resize_lanczos(self._picture)
        else:
            self._paste(top, left, self._upscaler.enlarge(self._cut_tile(top, left)))
        del self._tiles[0]  # only now: without memory for it, it is tried again

    def _cut_tile(self, top: int, left: int) -> np.ndarray:
        margin = [(_OVERLAP_PX, _OVERLAP_PX + _TILE_PX)] * 2 + [(0, 0)]
        padded = np.pad(self._picture, margin, mode="symmetric")
        side = _TILE_PX + 2 * _OVERLAP_PX
        return padded[top : top + side, left : left + side]

    def _paste(self, top: int, left: int, tile: np.ndarray) -> None:
        inner = tile[FACTOR * _OVERLAP_PX :, FACTOR * _OVERLAP_PX :]
        target = self.result[FACTOR * top : FACTOR * (top + _TILE_PX), FACTOR * left : FACTOR * (left + _TILE_PX)]
        target[:] = inner[: target.shape[0], : target.shape[1]]


def _list_tile_origins(height: int, width: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            yield top, left


def _resize_lanczos(picture: np.ndarray) -> np.ndarray:
    image = PillowImage.fromarray(picture)
    enlarged = image.resize((image.width * FACTOR, image.height * FACTOR), PillowImage.Resampling.LANCZOS)
    return np.asarray(enlarged)
