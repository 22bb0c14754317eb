"""One interleaving of `exact`: its images, how they are painted together, and whether each can be painted again."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench._exact_orders import draw_orders

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.jobs.protocol import Finished, GenerateCommand
    from generation.models.catalog import Model


def draw(model: Model, generator: random.Random, options: argparse.Namespace) -> list[GenerateCommand]:
    """Return the images of one interleaving."""
    kinds = {"with_loras": options.loras, "with_references": options.references, "with_regions": options.regions}
    kinds["with_cache"] = options.cache
    orders = list(draw_orders(model, generator, options.side, **kinds))
    generator.shuffle(orders)
    return orders


def paint_interleaved(
    engine: Engine, orders: Sequence[GenerateCommand], generator: random.Random, done: dict[str, Finished]
) -> None:
    """Paint them together and note each in `done`, by its id, as it ends."""
    from bench._painting import finished

    waiting = list(orders)
    while waiting or not engine.is_idle:
        if waiting and (engine.is_idle or generator.random() < 0.5):
            engine.admit(waiting.pop())
        done.update({event.image_id: event for event in finished(engine.step())})


def is_exact(engine: Engine, order: GenerateCommand, crowded: Finished) -> bool:
    """Return whether the picture is the same when it is painted alone from its trace."""
    import msgspec

    from bench._painting import run_alone

    return run_alone(engine, msgspec.structs.replace(order, replay=crowded.trace)).pixels == crowded.pixels
