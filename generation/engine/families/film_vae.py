"""The VAE of Qwen-Image, which was made for films: a picture is a film of one frame."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor

from generation.engine.devices import Device


class FilmVae:
    """Encodes and decodes for a `Family` with such a VAE. Channels have a mean and a deviation of their own."""

    _vae: Any
    _device: Device

    @property
    def pixels_per_latent(self) -> int:
        return int(2 ** len(self._vae.config.temperal_downsample))

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        return self._even_out(self._read_posterior(pixels).sample(generator))

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents.unsqueeze(2).to(self._vae.dtype)
        mean, scale = self._read_statistics(latents)
        pixels: Tensor = self._open_vae().decode(latents / scale + mean, return_dict=False)[0]
        return pixels[:, :, 0].float()

    def _read_posterior(self, pixels: Tensor) -> Any:
        film = pixels.unsqueeze(2).to(self._device.torch_device, self._vae.dtype)
        return self._open_vae().encode(film).latent_dist

    def _open_vae(self) -> Any:
        """Return the VAE with a record of its own of the frames before, which it keeps while it runs.

        Two pictures that are decoded at once would read each other's. Where parts leave the device, turns run one at
        a time, and the part itself must be called.
        """
        return self._vae if hasattr(self._vae, "_hf_hook") else copy(self._vae)

    def _even_out(self, latents: Tensor) -> Tensor:
        mean, scale = self._read_statistics(latents)
        scaled: Tensor = (latents - mean) * scale
        return scaled[:, :, 0].float()

    def _read_statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of each channel, and one over its deviation, (1, C, 1, 1, 1)."""
        settings = self._vae.config
        mean = torch.tensor(settings.latents_mean).view(1, -1, 1, 1, 1).to(like)
        return mean, 1.0 / torch.tensor(settings.latents_std).view(1, -1, 1, 1, 1).to(like)
