"""Pictures as tensors, and a pool of drawn ones, so that training does not wait for drawing."""

import random
from collections.abc import Callable, Iterable

import numpy as np
import torch
from PIL import Image

from training.paintbox.draw import draw
from training.paintbox.world import Scene, sample, sample_training


def to_tensor(pictures: Iterable[Image.Image]) -> torch.Tensor:
    """Return (pictures, 3, height, width) in -1..1, channels last in memory."""
    stack = np.stack([np.asarray(picture) for picture in pictures])
    return from_bytes(torch.from_numpy(stack))


def from_bytes(stack: torch.Tensor) -> torch.Tensor:
    """Convert uint8 (pictures, height, width, 3) to float (pictures, 3, height, width) in -1..1."""
    floats = stack.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
    return floats.contiguous(memory_format=torch.channels_last)


def to_pictures(tensor: torch.Tensor) -> list[Image.Image]:
    """Return the inverse of `to_tensor`, clipped."""
    bytes_ = ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one) for one in bytes_]


def scenes(count: int, seed: int, *, kind: Callable[[random.Random], Scene] = sample) -> list[Scene]:
    """Return `count` training scenes of a kind, the same for the same seed."""
    rng = random.Random(seed)
    return [sample_training(rng, kind=kind) for _ in range(count)]


def pool(count: int, seed: int, side_px: int) -> torch.Tensor:
    """Return uint8 (count, side, side, 3): drawings of training scenes."""
    drawn = [np.asarray(draw(scene, side_px)) for scene in scenes(count, seed)]
    return torch.from_numpy(np.stack(drawn))
