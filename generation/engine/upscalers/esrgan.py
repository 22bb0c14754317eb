"""Upscalers that were added: read once, unchanged since, and run on one tile at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from generation.engine.devices import Device
from generation.engine.errors import AddonMissingError
from generation.engine.lora_file import read_checked, unusable
from generation.engine.upscalers.networks import build_network
from generation.errors import NotFiniteError
from generation.models.upscaler_layout import read_layout
from generation.requests.edits import UpscaleNetwork
from generation.requests.upscalers import Upscaler

_MAX_RESIDENT = 1


class EsrganUpscaler:
    """A network in float32 that enlarges tiles `factor` times. Where it makes more of them, pixels are averaged."""

    tile_px = 128
    overlap_px = 16
    """Part of what a recipe promises: other numbers are other bits. Multiples of 4, for networks that unshuffle."""

    def __init__(self, network: nn.Module, device: Device, *, scale: int, factor: int) -> None:
        self.factor = factor
        self._network, self._device, self._shrink = network, device, scale // factor

    def enlarge(self, tile: np.ndarray) -> np.ndarray:
        """Return (factor side, factor side, 3) uint8 for (side, side, 3) uint8."""
        pixels = torch.from_numpy(tile.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous()
        output: Tensor = self._network(pixels.to(self._device.home))
        if not bool(torch.isfinite(output).all()):
            raise NotFiniteError()
        output = output.clamp(0, 1)
        if self._shrink > 1:
            output = functional.avg_pool2d(output, self._shrink)
        enlarged: np.ndarray = (output[0].permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
        return enlarged


class EsrganUpscalers:
    """The upscalers that were added, for one loaded model: the one used last is kept in memory."""

    def __init__(self, files: Sequence[Upscaler], device: Device) -> None:
        self._files = {file.sha256: file for file in files}
        self._device = device
        self._resident: dict[str, nn.Module] = {}

    def get(self, wanted: UpscaleNetwork, *, factor: int) -> EsrganUpscaler:
        """Return the upscaler, loaded if need be. Raise `InvalidRequestError` if it is not here or cannot be used."""
        file = self._files.get(wanted.sha256)
        if file is None:
            raise AddonMissingError(name=wanted.name)
        if wanted.sha256 not in self._resident:
            self._resident.clear()
            self._resident[wanted.sha256] = load_network(file, self._device)
        return EsrganUpscaler(self._resident[wanted.sha256], self._device, scale=file.scale, factor=factor)


def load_network(file: Upscaler, device: Device) -> nn.Module:
    """Return a file's network on the device. Raise `AddonUnusableError` if it has changed or cannot be used."""
    _, tensors = read_checked(file)
    try:
        layout = read_layout({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    except ValueError as error:
        raise unusable(file, f"it {error}.") from None
    network = build_network(layout)
    weights = {name: tensors[written].float() for name, written in layout.names.items()}
    network.load_state_dict(weights, assign=True)
    return network.to(device.home).eval().requires_grad_(False)
