"""The upscaler that a model brings: Swin2SR of factor two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Swin2SRForImageSuperResolution

from generation.engine.devices import Device
from generation.engine.loading import load_transformer
from generation.models.layout import ModelRefusedError, check_part
from generation.requests.edits import DOUBLE


class Swin2srUpscaler:
    """A loaded `Swin2SRForImageSuperResolution` of factor two, float32. Raise `ModelRefusedError` as models do."""

    tile_px, overlap_px, factor = 64, 8, DOUBLE

    def __init__(self, folder: Path, device: Device) -> None:
        check_part(folder)
        self._device = Device(device.home, torch.float32, device.num_threads)
        self._model: Any = load_transformer(Swin2SRForImageSuperResolution, folder, self._device)
        if self._model.config.upscale != DOUBLE:
            raise ModelRefusedError(folder=str(folder), problem="it does not double.", remedy="Use an x2 upscaler.")

    def enlarge(self, tile: np.ndarray) -> np.ndarray:
        """Return (2 side, 2 side, 3) uint8 for (side, side, 3) uint8."""
        pixels = torch.from_numpy(tile.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous()
        output = self._model(pixels.to(self._device.torch_device)).reconstruction
        scaled = output[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        side = DOUBLE * tile.shape[0]
        enlarged: np.ndarray = (scaled[:side, :side] * 255).round().astype(np.uint8)
        return enlarged
