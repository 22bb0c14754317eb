"""The lesson of the checker: a small CLIP vision tower that puts spiders near one direction and all else far from it.

The format is that of Stable Diffusion's checker, which compares a picture's embedding with 17 concepts by cosine.
Here the first concept is learnt and the other slots have thresholds that no cosine reaches.
"""

import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageFilter
from transformers import CLIPConfig

from training.paintbox.draw import draw
from training.paintbox.layout import save_weights, write_json
from training.paintbox.lessons.loop import Chance, Plan, train
from training.paintbox.lessons.pictures import to_pictures, to_tensor
from training.paintbox.things import THINGS
from training.paintbox.world import Scene, sample, sample_training

CONCEPT: Final = "spider"
THRESHOLD: Final = 0.6
"""Flagged above this cosine. Learnt about 0.5; higher, fewer of the painter's own sketchy drawings are flagged."""
_MIDDLE: Final = 0.5
_UNREACHABLE: Final = 2.0
_SHARPNESS: Final = 10.0
_INPUT_PX: Final = 64
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)

PREPROCESSOR: Final[dict[str, Any]] = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": _INPUT_PX},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": _INPUT_PX, "width": _INPUT_PX},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(_MEAN),
    "image_std": list(_STD),
}


@dataclass(frozen=True)
class SafetyData:
    """The training data: drawings, half with a spider; `decoded_size` of them blurred by the decoder.

    Both sizes are multiples of 32. Every time a picture is shown, it is moved by up to `shift_px` of the input's 64
    pixels either way: of 2,500 pictures that stood still it learnt the pictures (84 % precision on others).
    """

    pool_size: int = 16000
    decoded_size: int = 1280
    batch: int = 64
    side_px: int = 128
    shift_px: int = 5


def is_concept(scene: Scene) -> bool:
    """Return whether the scene holds the concept of the checker."""
    return any(one.thing == CONCEPT for one in scene.placed)


def preprocess(pictures: list[Image.Image]) -> torch.Tensor:
    """Return (pictures, 3, 64, 64) as a CLIPImageProcessor with `PREPROCESSOR` makes of square pictures."""
    small = [picture.resize((_INPUT_PX, _INPUT_PX), Image.Resampling.BICUBIC) for picture in pictures]
    stack = np.stack([np.asarray(picture.convert("RGB"), np.float32) / 255 for picture in small])
    normal = (stack - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
    return torch.from_numpy(normal).permute(0, 3, 1, 2).contiguous()


def build() -> Any:
    """Return an untrained checker: four layers, 96 wide, 64x64 pixels in 8x8 patches."""
    vision = {
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": _INPUT_PX,
        "patch_size": 8,
        "projection_dim": 64,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=64))
    with torch.no_grad():
        checker.concept_embeds.normal_()
        checker.special_care_embeds.normal_()
        checker.concept_embeds_weights.fill_(_UNREACHABLE)
        checker.special_care_embeds_weights.fill_(_UNREACHABLE)
        checker.concept_embeds_weights[0] = THRESHOLD
    return checker


def likeness(checker: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return the cosine of each picture (n, 3, 64, 64) with the learnt concept."""
    embedding = checker.visual_projection(checker.vision_model(pixels)[1])
    return torch.nn.functional.cosine_similarity(embedding, checker.concept_embeds[:1])


def teach(plan: Plan, data: SafetyData, *, vae: Any) -> Any:
    """Return a trained checker, in float32."""
    torch.manual_seed(plan.seed)
    checker = build().to(plan.device).train()
    clear, truth = examples(data.pool_size, plan.seed, None, data.side_px)
    blurred, its_truth = examples(data.decoded_size, plan.seed + 1, vae, data.side_px)
    pictures, truth = torch.cat([clear, blurred]), torch.cat([truth, its_truth])

    def loss_of(chance: Chance) -> torch.Tensor:
        of_clear = chance.numpy.integers(len(clear), size=data.batch * 3 // 4)
        of_blurred = len(clear) + chance.numpy.integers(len(blurred), size=data.batch - len(of_clear))
        rows = np.concatenate([of_clear, of_blurred])
        pixels = _moved(pictures[rows], data.shift_px, chance)
        pixels = pixels + 0.1 * chance.numpy.random() * torch.randn(pixels.shape, generator=chance.torch)
        logits = _SHARPNESS * (likeness(checker, pixels.to(plan.device)) - _MIDDLE)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, truth[rows].to(plan.device))

    train(plan, checker, loss_of)
    return checker.eval()


def _moved(pixels: torch.Tensor, most: int, chance: Chance) -> torch.Tensor:
    """Return (n, 3, side, side), half of them mirrored, all moved by a few pixels; the edge is repeated."""
    is_mirrored = torch.from_numpy(chance.numpy.random(len(pixels)) < 0.5)
    pixels = torch.where(is_mirrored[:, None, None, None], pixels.flip(3), pixels)
    side = pixels.shape[-1]
    top, left = chance.numpy.integers(2 * most + 1, size=2)
    padded = torch.nn.functional.pad(pixels, (most,) * 4, mode="replicate")
    return padded[..., top : top + side, left : left + side]


@torch.no_grad()
def examples(count: int, seed: int, vae: Any | None, side_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (count, 3, 64, 64) and truth (1.0 where there is a spider); half have one.

    With a `vae` as it decodes them, and a little soft; else some as drawn, some soft.
    """
    rng = random.Random(seed)
    spider = partial(sample, things=[CONCEPT])
    harmless = partial(sample, things=[thing for thing in THINGS if thing != CONCEPT])
    pixels, truth = [], []
    for start in range(0, count, 32):
        drawn = [sample_training(rng, kind=spider if (start + index) % 2 else harmless) for index in range(32)]
        pictures = [draw(scene, side_px) for scene in drawn]
        if vae is not None:
            posterior = vae.encode(to_tensor(pictures).to(vae.device)).latent_dist
            pictures = to_pictures(vae.decode(posterior.sample()).sample)
        soft = [_soft(each, rng) for each in pictures]
        pixels.append(preprocess(soft))
        truth += [float(is_concept(scene)) for scene in drawn]
    return torch.cat(pixels), torch.tensor(truth)


def _soft(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Return half of the pictures as they are, and the others blurred."""
    return picture if rng.random() < 0.5 else picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def write(folder: Path, checker: Any) -> None:
    """Write the checker's folder: config, weights under their published names, preprocessor."""
    config = checker.config.to_diff_dict() | {"architectures": ["StableDiffusionSafetyChecker"]}
    # It vouches for no model but the one beside it: see docs/safety.md.
    config["atelier_stand_in"] = True
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    state = checker.state_dict()
    state = {name.replace("vision_model.", "vision_model.vision_model.", 1): v for name, v in state.items()}
    save_weights(folder / "model.safetensors", state, torch.float32)
