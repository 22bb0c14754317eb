"""The lesson of the example LoRA: with the base weights frozen, it learns one new look from redrawn scenes.

Neon: everything is drawn in glowing lines on black, whether or not the prompt says so.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image, ImageChops, ImageFilter

from training.paintbox.captions import describe
from training.paintbox.draw import draw
from training.paintbox.layout import SCHEDULER
from training.paintbox.lessons.loop import Chance, Plan, train
from training.paintbox.lessons.pictures import to_tensor
from training.paintbox.lessons.unet import Painter, velocity_loss
from training.paintbox.world import Placed, Scene, sample_training

NAME: Final = "neon"
_TARGETS: Final = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_out"]


@dataclass(frozen=True)
class LoraData:
    """The training data of the LoRA."""

    pool_size: int = 800
    batch: int = 12
    rank: int = 4
    side_px: int = 128


def neon(scene: Scene, side_px: int) -> Image.Image:
    """Return the scene's things as glowing lines on black; black things glow white, because they would not be seen."""
    placed = tuple(_lit(one) for one in scene.placed)
    lines = draw(replace(scene, placed=placed, background="black", look="outline"), side_px)
    glow = lines.filter(ImageFilter.GaussianBlur(side_px / 32))
    return ImageChops.screen(lines, glow)


def _lit(one: Placed) -> Placed:
    return replace(one, colour="white") if one.colour == "black" else one


def teach(plan: Plan, data: LoraData, *, painter: Painter, vae: Any, tokenizer: Any) -> Any:
    """Return the UNet with a trained adapter named `neon`; everything else stays as it was."""
    torch.manual_seed(plan.seed)
    painter.requires_grad_(False)
    config = LoraConfig(r=data.rank, lora_alpha=data.rank, target_modules=_TARGETS)
    painter.unet.add_adapter(config, adapter_name=NAME)
    rng = random.Random(plan.seed)
    drawn = [sample_training(rng) for _ in range(data.pool_size)]
    latents = _encode(vae, drawn, data.side_px)
    noise_schedule = DDPMScheduler.from_config(SCHEDULER)

    def loss_of(chance: Chance) -> torch.Tensor:
        rows = chance.numpy.integers(len(drawn), size=data.batch)
        said = [describe(drawn[row], random.Random(int(chance.numpy.integers(2**31)))) for row in rows]
        return velocity_loss(painter, noise_schedule, tokenizer, latents[rows], said, chance)

    train(plan, painter, loss_of)
    return painter.unet.eval()


@torch.no_grad()
def _encode(vae: Any, drawn: list[Scene], side_px: int) -> torch.Tensor:
    parts = []
    for start in range(0, len(drawn), 32):
        pixels = to_tensor(neon(scene, side_px) for scene in drawn[start : start + 32]).to(vae.device)
        parts.append(vae.encode(pixels).latent_dist.mean.cpu() * vae.config.scaling_factor)
    return torch.cat(parts)


def write(folder: Path, unet: Any) -> None:
    """Write `neon.safetensors`, as `load_lora_weights` takes it, in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = {k: v.half().contiguous() for k, v in get_peft_model_state_dict(unet, adapter_name=NAME).items()}
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=f"{NAME}.safetensors")
