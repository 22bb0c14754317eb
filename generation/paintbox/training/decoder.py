"""A finishing lesson: the decoder alone, on whole pictures, while the latents stay what the painter has learnt.

The first lesson sees crops, and group normalisation sees other statistics there than on whole pictures. The encoder
and the 1x1 convolution after it are fixed, so this may run before, after or beside the painter's lesson.
"""

from dataclasses import dataclass
from typing import Any

import torch

from generation.paintbox.draw import draw
from generation.paintbox.training.loop import Chance, Plan, train
from generation.paintbox.training.pictures import scenes, to_tensor


@dataclass(frozen=True)
class DecoderData:
    """What the decoder is shown: whole drawings, from latents with a little noise, as a sampler leaves them."""

    pool_size: int = 9000
    batch: int = 3
    side_px: int = 128
    noise: float = 0.03


class Decoder(torch.nn.Module):
    """The half of an autoencoder that this lesson changes."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.post_quant_conv = vae.post_quant_conv
        self.decoder = vae.decoder


def teach(plan: Plan, data: DecoderData, *, vae: Any) -> None:
    """Train the decoder of `vae` in place. Squared plus absolute error, as before."""
    torch.manual_seed(plan.seed)
    vae.requires_grad_(False)
    half = Decoder(vae).requires_grad_(True)
    drawn = scenes(data.pool_size, plan.seed + 2)

    def loss_of(chance: Chance) -> torch.Tensor:
        rows = chance.numpy.integers(len(drawn), size=data.batch)
        wanted = to_tensor(draw(drawn[row], data.side_px) for row in rows).to(plan.device)
        latents = vae.encode(wanted).latent_dist.mean
        noise = torch.randn(latents.shape, generator=chance.torch).to(plan.device)
        error = vae.decode(latents + data.noise * noise).sample.float() - wanted
        loss: torch.Tensor = error.square().mean() + error.abs().mean()
        return loss

    train(plan, half, loss_of)
