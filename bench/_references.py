"""Pictures to edit for `exact --references`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from generation.images.codec import encode_png
from generation.requests.references import Reference

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.models.catalog import Model

_NUM_PICTURES = 3


def draw_references(model: Model, generator: random.Random, side_px: int) -> dict[str, Any]:
    """Return what a picture sees, of two shapes; nothing for every second, and often as much as others see."""
    if generator.random() < 1 / 2:
        return {}
    numbers, wide_px = [1, 1, 1, 2, model.info.max_references], (side_px + 32, side_px)
    sizes = generator.choices([(side_px, side_px), wide_px], (5, 1), k=generator.choice(numbers))
    drawn = [(generator.randrange(_NUM_PICTURES), size_px) for size_px in sizes]
    return {
        "reference": tuple(_name(which, size_px) for which, size_px in drawn),
        "reference_pngs": tuple(_draw_picture(which, size_px) for which, size_px in drawn),
    }


def _name(which: int, size_px: tuple[int, int]) -> Reference:
    return Reference(sha256=f"{which}" * 64, width_px=size_px[0], height_px=size_px[1])


def _draw_picture(which: int, size_px: tuple[int, int]) -> bytes:
    return encode_png(random.Random(which).randbytes(3 * size_px[0] * size_px[1]), size_px)
