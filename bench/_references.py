"""Pictures to edit for `exact --references`, and the control: an engine whose key forgets them."""

from __future__ import annotations

import random
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

from generation.images.codec import encode_png
from generation.jobs.protocol import Finished, GenerateCommand
from generation.requests.references import Reference

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.models.catalog import Model
    from generation.workers.engine_settings import EngineSettings

_NUM_PICTURES = 3
_FORGETFUL = 6
"""Interleavings that the forgetful engine paints."""


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


def measure_forgetful(engine: Engine, model: Model, settings: EngineSettings, options: Namespace) -> dict[str, int]:
    """Paint interleavings with an engine whose key forgets what pictures see; the true one paints each from its trace.

    Return how many pictures there are, how many differ, and how many met a forward whose inputs do not fit.
    """
    from bench import exact
    from generation.engine import slot
    from generation.engine.engine import Engine

    images, painted = 0, list[tuple[GenerateCommand, Finished]]()
    with mock.patch.object(slot, "list_reference_sizes", lambda spec: ()):
        forgetful = Engine([model], settings)
        for number in range(min(_FORGETFUL, options.interleavings)):
            orders, ended = exact.draw(model, random.Random(number), options), dict[str, Finished]()
            with suppress(KeyError, RuntimeError):
                exact.paint_interleaved(forgetful, orders, random.Random(number), ended)
            forgetful.close()
            images += len(orders)
            painted += [(each, ended[each.image_id]) for each in orders if each.image_id in ended]
    differing = sum(not exact.is_exact(engine, *each) for each in painted)
    return {
        "forgetful_images": images,
        "forgetful_differing": differing,
        "forgetful_broken": images - len(painted),
    }
