"""The second lesson of the autoencoder: whole pictures, most often those it draws worst, with stable latents.

The first lesson leaves thin lines and pixel art soft: they are rare, and its crops mostly show plain ground. Here a
picture is shown the more often the further its last drawing was off. The latents are held near what they were, and some
drawings by lot are decoded from the old ones with much noise, as a painter leaves them: so a painter that learnt the
old latents paints on, and its soft edges are not taken for pixel art. This may run before or after its lesson.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import torch

from training.paintbox.lessons.loop import Chance, Plan, train
from training.paintbox.lessons.pictures import from_bytes, pool
from training.paintbox.lessons.vae import encode

_FLOOR: Final = 0.05
"""The share of what is shown without regard to how it is drawn, so that nothing is forgotten."""
_PAINTED: Final = 0.2
"""The share of drawings that are decoded as if they were painted."""
_NOISE: Final = 0.03
"""Deviation of what is added to latents, as a sampler leaves some."""
_PAINTED_NOISE: Final = (0.05, 0.2)
"""The same, from and to, for those as if painted."""


@dataclass(frozen=True)
class SharpenData:
    """The training data: `pool_size` drawings, `batch` of them a step.

    `pull` is how much the latents' way from where they were counts beside the pictures' error.
    """

    pool_size: int = 4000
    batch: int = 4
    side_px: int = 128
    pull: float = 0.003


class Sharpened(torch.nn.Module):
    """An autoencoder, and the error of each drawing of the pool when it was last drawn.

    The errors are a buffer, so a checkpoint holds them and a resumed lesson shows what an unbroken one would.
    """

    def __init__(self, vae: Any, errors: torch.Tensor) -> None:
        super().__init__()
        self.vae = vae
        self.errors: torch.Tensor
        self.register_buffer("errors", errors)


def teach(plan: Plan, data: SharpenData, *, vae: Any) -> None:
    """Train `vae` in place. Squared error counts most: it is what is scored, and it weighs what is drawn worst."""
    torch.manual_seed(plan.seed)
    drawings = pool(data.pool_size, plan.seed + 2, data.side_px)
    old = encode(vae, drawings).cpu()
    with plan.autocast():
        lesson = Sharpened(vae.train(), _errors(vae, drawings, old))
    settle_noise(vae)

    def loss_of(chance: Chance) -> torch.Tensor:
        as_painted = torch.rand(data.batch, generator=chance.torch) < _PAINTED
        by_lot = torch.randint(len(drawings), (data.batch,), generator=chance.torch)
        rows = torch.where(as_painted, by_lot, choose(lesson.errors, data.batch, chance))
        wanted, before = from_bytes(drawings[rows]).to(plan.device), old[rows].to(plan.device)
        latents = vae.encode(wanted).latent_dist.mean.float()
        noise = _noise(latents.shape, as_painted, chance).to(plan.device)
        shown = torch.where(as_painted[:, None, None, None].to(plan.device), before, latents) + noise
        got = vae.decode(shown).sample.float()
        off = _squared(got, wanted)
        lesson.errors[rows[~as_painted]] = off.detach()[~as_painted]
        pull = (latents - before).square().mean()
        loss: torch.Tensor = 4 * off.mean() + 0.4 * (got - wanted).abs().mean() + data.pull * pull
        return loss

    train(plan, lesson, loss_of)
    vae.eval()


@torch.no_grad()
def settle_noise(vae: Any) -> None:
    """Set one deviation everywhere in the encoder: the noise that the decoder learns to tolerate.

    This lesson teaches the mean alone, but img2img draws from the whole distribution.
    """
    means = vae.config.latent_channels
    vae.quant_conv.weight[means:] = 0.0
    vae.quant_conv.bias[means:] = 2 * math.log(_NOISE)


def _squared(got: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each picture. Beyond black and white it counts little."""
    clipped, plain = ((each - wanted).square().mean((1, 2, 3)) for each in (got.clamp(-1, 1), got))
    return 0.9 * clipped + 0.1 * plain


def _noise(shape: torch.Size, as_painted: torch.Tensor, chance: Chance) -> torch.Tensor:
    least, most = _PAINTED_NOISE
    much = least + (most - least) * torch.rand(len(as_painted), generator=chance.torch)
    deviation = torch.where(as_painted, much, torch.tensor(_NOISE))
    return deviation[:, None, None, None] * torch.randn(shape, generator=chance.torch)


def choose(errors: torch.Tensor, count: int, chance: Chance) -> torch.Tensor:
    """Return the rows of `count` different drawings, with a probability close to their error."""
    return torch.multinomial((errors + _FLOOR * errors.mean()).cpu(), count, generator=chance.torch)


@torch.no_grad()
def _errors(vae: Any, drawings: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Return the error of each drawing before the lesson."""
    parts = zip(torch.split(drawings, 8), torch.split(latents, 8), strict=True)
    off = [_squared(vae.decode(z.to(vae.device)).sample, from_bytes(d).to(vae.device)) for d, z in parts]
    return torch.cat(off).float()
