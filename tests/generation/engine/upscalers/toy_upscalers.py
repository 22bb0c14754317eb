"""Upscalers at toy size, under the names of the programs that write them. Their weights are always the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

NUM_GROWTH = 32  # the reference implementation knows no other
WIDTH = 4
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Toy:
    """One kind of file: its weights by Real-ESRGAN's names, and how another program names them."""

    scale: int
    weights: Callable[[], Weights]
    rename: Callable[[Weights], Weights] = dict

    def save(self, path: Path, *, prefix: str = "", half: bool = False) -> Path:
        numbers = np.float16 if half else np.float32
        written = {f"{prefix}{name}": array.astype(numbers) for name, array in self.rename(self.weights()).items()}
        save_file(written, path)
        return path


def rrdb(*, num_ups: int = 2, unshuffle: int = 1, num_blocks: int = 1) -> Weights:
    shapes = {"conv_first": (3 * unshuffle**2, WIDTH)}
    for block in range(num_blocks):
        for dense in (1, 2, 3):
            for number in range(1, 6):
                takes = WIDTH + (number - 1) * NUM_GROWTH
                shapes[f"body.{block}.rdb{dense}.conv{number}"] = (takes, NUM_GROWTH if number < 5 else WIDTH)
    for name in ("conv_body", *(f"conv_up{number + 1}" for number in range(num_ups)), "conv_hr"):
        shapes[name] = (WIDTH, WIDTH)
    return _draw(shapes | {"conv_last": (WIDTH, 3)})


def compact(*, scale: int, num_convolutions: int = 2) -> Weights:
    shapes = {"body.0": (3, WIDTH)} | {f"body.{2 * each + 2}": (WIDTH, WIDTH) for each in range(num_convolutions)}
    weights = _draw(shapes | {f"body.{2 * num_convolutions + 2}": (WIDTH, 3 * scale**2)})
    slopes = {f"body.{2 * each + 1}.weight": np.full(WIDTH, 0.1 + 0.2 * each) for each in range(num_convolutions + 1)}
    return weights | slopes


def _draw(shapes: dict[str, tuple[int, int]]) -> Weights:
    random = np.random.RandomState(7)
    drawn: Weights = {}
    for name, (takes, gives) in shapes.items():
        drawn[f"{name}.weight"] = random.standard_normal((gives, takes, 3, 3)) * (1.5 / (9 * takes) ** 0.5)
        drawn[f"{name}.bias"] = random.standard_normal(gives) * 0.1
    return drawn


def as_first_esrgan(weights: Weights) -> Weights:
    """Return them as the first ESRGAN numbers its layers."""
    num_ups = sum(name.startswith("conv_up") and name.endswith("weight") for name in weights)
    num_blocks = 1 + max(int(found[1]) for name in weights if (found := re.match(r"body\.(\d+)\.", name)))
    places = {"first": "0", "body": f"1.sub.{num_blocks}", "hr": str(3 * num_ups + 2), "last": str(3 * num_ups + 4)}
    places |= {f"up{number}": str(3 * number) for number in range(1, num_ups + 1)}

    def place(name: str) -> str:
        if found := re.fullmatch(r"conv_(\w+)\.(\w+)", name):
            return f"model.{places[found[1]]}.{found[2]}"
        return re.sub(r"body\.(\d+)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0.", name)

    return {place(name): array for name, array in weights.items()}


def as_bsrgan(weights: Weights) -> Weights:
    """Return them under the names of ESRGAN's second release, which BSRGAN and Real-SR took over."""
    pairs: Any = (
        (r"body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2"),
        ("conv_body", "trunk_conv"),
        (r"conv_up(\d)", r"upconv\1"),
        ("conv_hr", "HRconv"),
    )

    def place(name: str) -> str:
        for pattern, into in pairs:
            name = re.sub(pattern, into, name)
        return name

    return {place(name): array for name, array in weights.items()}


TOYS = {
    "RealESRGAN x4": Toy(4, rrdb),
    "RealESRGAN x2": Toy(2, lambda: rrdb(unshuffle=2)),
    "RealESRGAN x1": Toy(1, lambda: rrdb(unshuffle=4)),
    "two blocks": Toy(4, lambda: rrdb(num_blocks=2)),
    "ESRGAN x4": Toy(4, rrdb, as_first_esrgan),
    "ESRGAN x2": Toy(2, lambda: rrdb(num_ups=1), as_first_esrgan),
    "ESRGAN x1": Toy(1, lambda: rrdb(num_ups=0), as_first_esrgan),
    "ESRGAN x8": Toy(8, lambda: rrdb(num_ups=3), as_first_esrgan),
    "ESRGAN that unshuffles": Toy(2, lambda: rrdb(unshuffle=2), as_first_esrgan),
    "BSRGAN x4": Toy(4, rrdb, as_bsrgan),
    "BSRGAN x2": Toy(2, lambda: rrdb(num_ups=1), as_bsrgan),
    "compact x4": Toy(4, lambda: compact(scale=4)),
    "compact x2": Toy(2, lambda: compact(scale=2)),
    "compact x1": Toy(1, lambda: compact(scale=1)),
}


def draw_pixels(height: int = 4, width: int = 8) -> np.ndarray:
    """Return (1, 3, height, width) float32, 0 to 1."""
    random = np.random.RandomState(3)
    return random.random_sample((1, 3, height, width)).astype(np.float32)
