"""The first lesson: an autoencoder that encodes 8x8 pixels in four numbers and reproduces the colours."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D

from training.paintbox.lessons.loop import Chance, Plan, train
from training.paintbox.lessons.pictures import from_bytes, pool

_KL_WEIGHT: Final = 1e-6
WIDTHS: Final = (32, 64, 96, 96)


@dataclass(frozen=True)
class VaeData:
    """The training data: square crops, `crop_px` wide, of `pool_size` drawings, and at the end whole ones.

    Crops are four times as many for the same work; but group normalisation sees other statistics there than on whole
    pictures, so the last `whole_share` of the steps shows those, as many pixels a step.
    """

    pool_size: int = 6000
    batch: int = 16
    crop_px: int = 64
    side_px: int = 128
    whole_share: float = 0.3
    widths: tuple[int, ...] = WIDTHS


def build(widths: tuple[int, ...] = WIDTHS) -> Any:
    """Return an untrained AutoencoderKL: four levels, so 8 pixels to a latent."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=128,
    )
    _start_as_blur(vae)
    return vae


@torch.no_grad()
def _start_as_blur(vae: Any) -> None:
    """Begin as an autoencoder that shrinks and grows the picture; all residual branches begin silent.

    From the stock start the first thousand steps go into letting colour through at all. The noise begins small too:
    at unit noise the decoder learns nothing for hundreds of steps.
    """
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            module.conv2.weight.zero_()
            module.conv2.bias.zero_()
            if module.conv_shortcut is not None:
                torch.nn.init.dirac_(module.conv_shortcut.weight)
        elif isinstance(module, Downsample2D):
            module.conv.weight.zero_()
            for channel in range(module.conv.weight.shape[0]):
                module.conv.weight[channel, channel, :2, :2] = 0.25
        elif isinstance(module, Upsample2D):
            torch.nn.init.dirac_(module.conv.weight)
    for channel in range(6):
        # Red, green and blue, plain and negated: silu(x) - silu(-x) = x keeps them linear through the activation.
        vae.encoder.conv_in.weight[channel].zero_()
        vae.encoder.conv_in.weight[channel, channel % 3, 1, 1] = 1.0 if channel < 3 else -1.0
    for channel in range(8):
        vae.decoder.conv_in.weight[channel].zero_()
        vae.decoder.conv_in.weight[channel, channel % 4, 1, 1] = 1.0 if channel < 4 else -1.0
    for conv in (vae.encoder.conv_in, vae.decoder.conv_in):
        # A constant channel, so that normalisation cannot take the brightness away.
        conv.weight[8].zero_()
        conv.bias[8] = 1.0
    for conv, apart in ((vae.encoder.conv_out, 3), (vae.decoder.conv_out, 4)):
        for channel in range(3):
            conv.weight[channel].zero_()
            conv.weight[channel, channel, 1, 1] = 1.0
            conv.weight[channel, channel + apart, 1, 1] = -1.0
    for conv in (vae.quant_conv, vae.post_quant_conv):
        torch.nn.init.dirac_(conv.weight)
        conv.bias.zero_()
    vae.quant_conv.bias[4:].fill_(-6.0)


def teach(plan: Plan, data: VaeData) -> Any:
    """Return a trained autoencoder in float32.

    The loss is squared plus absolute error, and a little KL to keep latents near the normal distribution.
    """
    torch.manual_seed(plan.seed)
    vae = build(data.widths).to(plan.device, memory_format=torch.channels_last).train()
    drawings = pool(data.pool_size, plan.seed, data.side_px)

    def loss_of(chance: Chance) -> torch.Tensor:
        whole = chance.step >= plan.steps * (1 - data.whole_share)
        shown = _whole(drawings, data, chance) if whole else _crops(drawings, data, chance)
        wanted = from_bytes(shown).to(plan.device)
        posterior = vae.encode(wanted).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=chance.torch).to(plan.device)
        got = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        error = got - wanted
        loss: torch.Tensor = error.square().mean() + error.abs().mean() + _KL_WEIGHT * posterior.kl().mean()
        return loss

    train(plan, vae, loss_of)
    return vae.eval()


def _crops(drawings: torch.Tensor, data: VaeData, chance: Chance) -> torch.Tensor:
    """Return random squares, half of them mirrored: a crop has no caption that could become untrue."""
    rng, crop = chance.numpy, data.crop_px
    squares = []
    for index in rng.integers(len(drawings), size=data.batch):
        top, left = rng.integers(data.side_px - crop + 1, size=2)
        square = drawings[index, top : top + crop, left : left + crop]
        squares.append(square.flip(1) if rng.random() < 0.5 else square)
    return torch.stack(squares)


def _whole(drawings: torch.Tensor, data: VaeData, chance: Chance) -> torch.Tensor:
    """Return as many whole pictures as hold a step's pixels."""
    count = max(1, data.batch * data.crop_px**2 // data.side_px**2)
    return drawings[torch.from_numpy(chance.numpy.integers(len(drawings), size=count))]


@torch.no_grad()
def standardise(vae: Any, drawings: torch.Tensor) -> None:
    """Give every latent channel mean 0 and deviation 1 over `drawings` (as from `pool`), pictures unchanged.

    The change is folded into the two 1x1 convolutions around the latents, so decoding undoes it exactly. Without it
    the colours lie many times further out than the details, and the painter learns details last.
    """
    latents = encode(vae, drawings)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, out_of = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    out_of.bias += (out_of.weight[:, :, 0, 0] * mean).sum(1)
    out_of.weight *= deviation[None, :, None, None]
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()


@torch.no_grad()
def latent_scale(vae: Any, drawings: torch.Tensor) -> float:
    """Return `scaling_factor`: one over the standard deviation of the latents. `drawings` as from `pool`."""
    return 1 / float(encode(vae, drawings).std())


@torch.no_grad()
def encode(vae: Any, drawings: torch.Tensor) -> torch.Tensor:
    """Return the mean latents of `drawings` (as from `pool`), (number, channels, height / 8, width / 8), in float32."""
    parts = [vae.encode(from_bytes(part).to(vae.device)).latent_dist.mean for part in torch.split(drawings, 32)]
    return torch.cat(parts).float()
