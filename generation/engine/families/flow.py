"""What the families trained by flow matching have in common: the shift of a schedule, and a VAE whose latents move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def compute_mu(config: Mapping[str, Any], num_tokens: int) -> float:
    """Return the shift for a picture of that many tokens, on the line that a scheduler's settings describe.

    As `calculate_shift` of the stock pipelines. Schedules with a fixed shift do not use it.
    """
    first, last = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (high - low) / (last - first)
    mu: float = num_tokens * slope + (low - slope * first)
    return mu


def encode_shifted(vae: Any, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sample of the VAE's posterior, shifted and scaled, drawn as the stock pipelines draw it."""
    posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
    latents: Tensor = (posterior.sample(generator) - vae.config.shift_factor) * vae.config.scaling_factor
    return latents.float()


def decode_shifted(vae: Any, latents: Tensor) -> Tensor:
    """Decode one image's latents (1, C, h, w) to pixels (1, 3, H, W)."""
    latents = latents.to(vae.dtype) / vae.config.scaling_factor + vae.config.shift_factor
    pixels: Tensor = vae.decode(latents, return_dict=False)[0]
    return pixels.float()
