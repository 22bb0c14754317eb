"""The control of `exact --references`: an engine whose key forgets what pictures see."""

from __future__ import annotations

import random
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest import mock

from bench._interleaving import draw, is_exact, paint_interleaved
from generation.jobs.protocol import Finished, GenerateCommand

if TYPE_CHECKING:  # torch is loaded when this benchmark runs, not when the list of benchmarks is made
    from generation.engine.engine import Engine
    from generation.models.catalog import Model
    from generation.workers.engine_settings import EngineSettings

_FORGETFUL = 6
"""Interleavings that the forgetful engine paints."""


def measure_forgetful(engine: Engine, model: Model, settings: EngineSettings, options: Namespace) -> dict[str, int]:
    """Paint interleavings with an engine whose key forgets what pictures see; the true one paints each from its trace.

    Return how many pictures there are, how many differ, and how many met a forward whose inputs do not fit.
    """
    from generation.engine import slot
    from generation.engine.engine import Engine

    images, painted = 0, list[tuple[GenerateCommand, Finished]]()
    with mock.patch.object(slot, "list_reference_sizes", lambda spec: ()):
        forgetful = Engine([model], settings)
        for number in range(min(_FORGETFUL, options.interleavings)):
            orders, ended = draw(model, random.Random(number), options), dict[str, Finished]()
            with suppress(KeyError, RuntimeError):
                paint_interleaved(forgetful, orders, random.Random(number), ended)
            forgetful.close()
            images += len(orders)
            painted += [(each, ended[each.image_id]) for each in orders if each.image_id in ended]
    differing = sum(not is_exact(engine, *each) for each in painted)
    return {
        "forgetful_images": images,
        "forgetful_differing": differing,
        "forgetful_broken": images - len(painted),
    }
