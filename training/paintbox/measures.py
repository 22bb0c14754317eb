"""Measures that need no judge: reconstruction, checker, upscaler, speed and size, on pictures or bytes."""

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageFilter
from transformers import Swin2SRForImageSuperResolution

from training.paintbox.draw import draw
from training.paintbox.lessons import safety, upscaler
from training.paintbox.lessons.pictures import to_tensor
from training.paintbox.scoring import Painter, held_out_triples
from training.paintbox.things import THINGS
from training.paintbox.world import LOOKS, is_training, sample, several, single

_BATCH: Final = 8


@torch.no_grad()
def reconstruction_db(vae: Any, pictures: Sequence[Image.Image]) -> list[float]:
    """Return the PSNR in dB of each picture after encoding (the mean, no noise) and decoding."""
    scores: list[float] = []
    for start in range(0, len(pictures), _BATCH):
        wanted = to_tensor(pictures[start : start + _BATCH]).to(vae.device)
        got = vae.decode(vae.encode(wanted).latent_dist.mean).sample.clamp(-1, 1)
        error = ((got - wanted) / 2).square().mean((1, 2, 3))
        scores += (-10 * torch.log10(error)).tolist()
    return scores


def held_out_pictures(count: int, seed: int, side_px: int) -> list[Image.Image]:
    """Return drawings of held-out combinations, one to three things, all looks."""
    rng = random.Random(seed)
    pictures = []
    for index, (colour, thing, place) in enumerate(held_out_triples(rng, count)):
        look = (*LOOKS, LOOKS[0], LOOKS[0])[index % 5]
        if index % 3:
            scene = single(rng, thing, colour, place, size="medium", look=look)
        else:
            scene = several(rng, thing, colour, place, count=2, size="medium", look=look)
        pictures.append(draw(scene, side_px))
    return pictures


def psnr_db(got: Image.Image, wanted: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of two pictures of one size, in dB."""
    error = np.square(np.asarray(got, np.float64) - np.asarray(wanted, np.float64)).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / float(error))


def upscaler_gain_db(folder: Path, *, count: int, seed: int) -> float:
    """Return the mean PSNR over bicubic, doubling halved held-out drawings (64 to 128 pixels)."""
    network = Swin2SRForImageSuperResolution.from_pretrained(folder, local_files_only=True).eval()
    gains = []
    for large in held_out_pictures(count, seed, 128):
        small = upscaler.halve(large)
        bicubic = small.resize(large.size, Image.Resampling.BICUBIC)
        gains.append(psnr_db(upscaler.double(network, small), large) - psnr_db(bicubic, large))
    return sum(gains) / len(gains)


@torch.no_grad()
def is_flagged(checker: Any, pictures: Sequence[Image.Image]) -> list[bool]:
    """Return what the checker says of each picture, by its own thresholds."""
    flags: list[bool] = []
    for start in range(0, len(pictures), 32):
        pixels = safety.preprocess(list(pictures[start : start + 32])).to(checker.device)
        flags += (safety.likeness(checker, pixels) > float(checker.concept_embeds_weights[0])).tolist()
    return flags


def checker_scores(
    folder: Path, *, count: int, seed: int, painter: Painter | None = None, painted: int = 0
) -> dict[str, float]:
    """Return precision and recall on `count` held-out drawings, a third blurred, half with a spider.

    With a painter, also on `painted` of its own pictures, where the prompt is taken for the truth.
    """
    checker = StableDiffusionSafetyChecker.from_pretrained(folder, local_files_only=True).eval()
    rng = random.Random(seed)
    pictures: list[Image.Image] = []
    truth: list[bool] = []
    others = [thing for thing in THINGS if thing != safety.CONCEPT]
    while len(truth) < count:
        scene = sample(rng, things=[safety.CONCEPT] if len(truth) % 2 else others)
        if is_training(scene):
            continue
        picture = draw(scene)
        soft = len(truth) % 3 == 0
        pictures.append(picture.filter(ImageFilter.GaussianBlur(1)) if soft else picture)
        truth.append(safety.is_concept(scene))
    scores = _precision_and_recall(is_flagged(checker, pictures), truth, "safety")
    if painter is not None:
        things = [safety.CONCEPT if index % 2 else others[index // 2 % len(others)] for index in range(painted)]
        prompts = [f"a {colour} {thing} on a {place} background" for thing, (colour, place) in _colours(things, rng)]
        flags = is_flagged(checker, painter.paint(prompts, first_seed=seed))
        scores |= _precision_and_recall(flags, [thing == safety.CONCEPT for thing in things], "safety_painted")
    return scores


def _colours(things: Sequence[str], rng: random.Random) -> list[tuple[str, tuple[str, str]]]:
    plain = [(c, b) for c in ("red", "green", "blue", "yellow", "purple") for b in ("white", "black", "pink", "cyan")]
    return [(thing, rng.choice(plain)) for thing in things]


def _precision_and_recall(flags: Sequence[bool], truth: Sequence[bool], name: str) -> dict[str, float]:
    hits = sum(flag and true for flag, true in zip(flags, truth, strict=True))
    return {f"{name}_precision": hits / max(1, sum(flags)), f"{name}_recall": hits / sum(truth)}


def weights_mb(folder: Path) -> float:
    """Return the size of all weight files below a folder, in megabytes (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6


@torch.no_grad()
def grid_seconds(painter: Painter) -> dict[str, float]:
    """Return the seconds for a grid of four, and how many (2-row UNet call + decode) that is."""
    pipe = painter.pipe
    side = pipe.unet.config.sample_size
    latents = torch.randn(2, 4, side, side, device=pipe.device)
    words = torch.randn(2, 77, pipe.unet.config.cross_attention_dim, device=pipe.device)

    def once() -> None:
        pipe.unet(latents, torch.tensor([500, 500], device=pipe.device), words)
        pipe.vae.decode(latents[:1])

    unit = min(_seconds(once) for _ in range(5))
    grid = min(_seconds(lambda: painter.paint(["a red circle on a blue background"] * 4)) for _ in range(2))
    return {"grid_s": grid, "grid_units": grid / unit}


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
