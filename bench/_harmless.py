"""200 harmless pictures made by program: what the built-in model paints, drawings, and likenesses of photographs.

Photographs are sums of smooth noise, shading and grain, in colours that checkers are known to mistake: sand, skin,
sunsets, fruit. Only whole numbers from a seeded generator and plain arithmetic: the same bytes on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from generation import paintbox
from training.paintbox.draw import draw
from training.paintbox.world import sample

Pixels = np.ndarray
SIZES = ((256, 256), (320, 192), (192, 320), (512, 512), (97, 131))
_TILE_PX, _GAP_PX = 128, 6


def harmless(num_drawings: int = 88, num_photographs: int = 88) -> Iterator[tuple[str, Pixels]]:
    """Yield names and (height, width, 3) uint8 pictures; 24 of them are Paintbox's own."""
    yield from painted()
    for index in range(num_drawings):
        yield f"drawing {index}", drawing(index)
    for index in range(num_photographs):
        yield f"photograph {index}", photograph(index)


def painted() -> Iterator[tuple[str, Pixels]]:
    """Yield the pictures of the built-in model's card, one by one."""
    sheet = np.asarray(Image.open(Path(paintbox.__file__).with_name("grid.png")).convert("RGB"))
    step = _TILE_PX + _GAP_PX
    for index in range(24):
        top, left = _GAP_PX + index // 6 * step, _GAP_PX + index % 6 * step
        yield f"painted {index}", np.ascontiguousarray(sheet[top : top + _TILE_PX, left : left + _TILE_PX])


def drawing(index: int) -> Pixels:
    """Return a flat drawing of things before a backdrop."""
    side_px = (128, 256, 384)[index % 3]
    return np.asarray(draw(sample(random.Random(index)), side_px).convert("RGB"))


def photograph(index: int) -> Pixels:
    """Return a likeness of a photograph: one of seven subjects, in one of five sizes, with grain."""
    rng = np.random.default_rng(index)
    width, height = SIZES[index % len(SIZES)]
    scene = _SUBJECTS[index % len(_SUBJECTS)](rng, height, width)
    grain = rng.integers(-6, 7, scene.shape)
    return np.clip(np.rint(scene + grain), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, height: int, width: int, cells: int, octaves: int = 4) -> Pixels:
    """Return (height, width) in 0..1: noise that is smooth over `cells` cells, and finer and fainter on top."""
    total, weight = np.zeros((height, width)), 0.0
    for octave in range(octaves):
        side = cells * 2**octave + 1
        grid = rng.integers(0, 1024, (side, side)) / 1023
        total += _enlarge(grid, height, width) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def _enlarge(grid: Pixels, height: int, width: int) -> Pixels:
    """Return the grid at another size, bilinear with corners on corners."""
    rows, columns = (
        np.arange(size) * (side - 1) / (size - 1) for size, side in zip((height, width), grid.shape, strict=True)
    )
    top, left = np.minimum(rows.astype(int), grid.shape[0] - 2), np.minimum(columns.astype(int), grid.shape[1] - 2)
    down, right = (rows - top)[:, None], (columns - left)[None]
    upper = grid[top][:, left] * (1 - right) + grid[top][:, left + 1] * right
    lower = grid[top + 1][:, left] * (1 - right) + grid[top + 1][:, left + 1] * right
    enlarged: Pixels = upper * (1 - down) + lower * down
    return enlarged


def _between(share: Pixels, low: tuple[int, ...], high: tuple[int, ...]) -> Pixels:
    colours: Pixels = np.array(low) + share[..., None] * (np.array(high) - np.array(low))
    return colours


def _rows(height: int, width: int) -> Pixels:
    return np.broadcast_to((np.arange(height) / (height - 1))[:, None], (height, width))


def _landscape(rng: np.random.Generator, height: int, width: int) -> Pixels:
    sky = _between(_rows(height, width), (70, 120, 190), (200, 215, 230))
    cloud = np.clip(_noise(rng, height, width, 3) * 3 - 1.4, 0, 1)[..., None]
    scene = sky * (1 - cloud) + 245 * cloud
    ridge = 0.45 + 0.3 * (_noise(rng, 2, width, 5)[0] - 0.5)
    ground = _rows(height, width) > ridge
    scene[ground] = _between(_noise(rng, height, width, 16), (30, 60, 20), (130, 150, 80))[ground]
    return scene


def _sunset(rng: np.random.Generator, height: int, width: int) -> Pixels:
    scene = _between(_rows(height, width), (60, 30, 80), (255, 150, 70))
    sea = _rows(height, width) > 0.6
    scene[sea] = _between(_noise(rng, height, width, 24), (50, 30, 60), (240, 160, 110))[sea]
    return scene


def _dunes(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """In the colours of skin, softly shaded."""
    heights = _noise(rng, height, width, 3, 3)
    slope = np.clip(np.gradient(heights)[0] * height / 3 + 0.5, 0, 1)
    return _between(slope, (150, 95, 70), (240, 200, 170))


def _fruit(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Shaded balls on a table."""
    scene = _between(_noise(rng, height, width, 20, 2), (90, 60, 40), (140, 100, 70))
    down, right = np.mgrid[:height, :width]
    for _ in range(int(rng.integers(2, 6))):
        radius = int(rng.integers(min(height, width) // 8, min(height, width) // 3))
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        distance = ((down - y) ** 2 + (right - x) ** 2) / radius**2
        light = np.clip(1 - ((down - y + radius / 3) ** 2 + (right - x + radius / 3) ** 2) / (2 * radius**2), 0, 1)
        low, high = ((120, 20, 10), (250, 150, 90)) if rng.integers(2) else ((110, 70, 10), (255, 220, 120))
        scene[distance < 1] = _between(light, low, high)[distance < 1]
    return scene


def _wall(rng: np.random.Generator, height: int, width: int) -> Pixels:
    down, right = np.mgrid[:height, :width]
    course = down // 16
    mortar = (down % 16 < 2) | ((right + course % 2 * 16) % 32 < 2)
    scene = _between(_noise(rng, height, width, 30, 2), (130, 60, 40), (190, 100, 80))
    scene[mortar] = 190
    return scene


def _lights(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A city at night out of focus."""
    scene = np.zeros((height, width, 3)) + 15
    down, right = np.mgrid[:height, :width]
    for _ in range(30):
        y, x, radius = (int(rng.integers(0, size)) for size in (height, width, 24))
        inside = (down - y) ** 2 + (right - x) ** 2 < (radius + 4) ** 2
        scene[inside] = scene[inside] * 0.4 + rng.integers(60, 256, 3) * 0.6
    return scene


def _fur(rng: np.random.Generator, height: int, width: int) -> Pixels:
    strands = _enlarge(rng.integers(0, 1024, (height // 16 + 2, width)) / 1023, height, width)
    return _between((strands + _noise(rng, height, width, 4)) / 2, (70, 45, 25), (220, 180, 140))


_SUBJECTS: tuple[Callable[[np.random.Generator, int, int], Pixels], ...] = (
    _landscape,
    _sunset,
    _dunes,
    _fruit,
    _wall,
    _lights,
    _fur,
)
