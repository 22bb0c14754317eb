"""The interface of a model family. One file in this package implements it for each family.

A family knows how to turn words into conditioning, rows of latents into predictions, and latents into pixels and
back. It knows nothing of samplers, batching, people or time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from generation.engine.text import TokenizedPrompt
from generation.models.catalog import Model
from generation.requests.prompt_addons import Adapter
from generation.requests.spec import ImageSpec

Conditioning = Mapping[str, Tensor]
"""Named model inputs beside latents and timesteps; the first dimension of each counts rows."""
MASK = "mask"
"""The input that the engine adds for a family that takes one: (rows, 1 + C, h, w), a mask and the latents it keeps."""


class Family(Protocol):
    """One loaded model."""

    latent_channels: int
    pixels_per_latent: int
    takes_mask: bool
    """Whether it is an inpainting model: `denoise` wants `MASK` among its conditioning."""
    scheduler_config: Mapping[str, Any]
    ladder: tuple[int, ...]
    """Bucket sizes in rows that a forward may have, ascending. Fixed, so that a trace means the same everywhere."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """The networks it is made of by their name in the folder: text encoders, `unet`, `vae`."""

    def offer(self, model: Model) -> None:
        """Know the LoRA and textual inversions of `model`, which may be more than when this was loaded."""

    def tokenize(self, spec: ImageSpec) -> TokenizedPrompt:
        """Return the prompt's tokens. Cheap: no model runs."""

    def condition(self, spec: ImageSpec, words: TokenizedPrompt) -> Conditioning:
        """Run the text encoders, always one prompt chunk at a time, so that the bits never depend on the company."""

    def use(self, adapters: tuple[Adapter, ...]) -> None:
        """Let only these LoRA change what `denoise` predicts from now on (`condition` selects its own)."""

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return predictions (rows, C, h, w) for latents of that shape, timesteps (rows,) and conditioning by row."""

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Encode pixels (1, 3, H, W) in -1..1 to scaled float32 latents (1, C, h, w), drawing from the generator."""

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (1, C, h, w) to pixels (1, 3, H, W), about -1..1, in float32."""


def join_mask(latents: Tensor, conditioning: Conditioning) -> Tensor:
    """Return what a UNet takes in its channels: latents, and for an inpainting model the mask behind them."""
    mask = conditioning.get(MASK)
    return latents if mask is None else torch.cat([latents, mask], dim=1)
