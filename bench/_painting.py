"""Drives the engine for benchmarks: a model, commands, and running them to their end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from generation.engine.engine import Engine
from generation.engine.trial import try_load
from generation.jobs.protocol import Event, Finished, GenerateCommand, ImageFailed, Share
from generation.models.catalog import Catalog, Model
from generation.requests.spec import ImageSpec

_AROUND = ("start_png", "mask_png", "control_pngs", "reference_pngs", "image_prompt_png", "num_previews")
"""Parts of a command beside its spec."""


def open_model(name: str) -> Model:
    """Open the built-in model by its name, or a model folder by its path."""
    return Catalog.open(name).default


def open_counted(path: str) -> Model:
    """Open a model folder, at the price that is counted of it when a model is added."""
    model = open_model(path)
    return replace(model, counted=try_load(model).work)


def an_order(
    model: Model, image_id: str, *, share: Share | None = None, replay: str | None = None, **spec: Any
) -> GenerateCommand:
    """Return a command for the model's usual picture, changed by `spec`."""
    plain = ImageSpec.for_model(model, prompt="a red circle on a blue background", seed=0)
    around = {name: spec.pop(name) for name in _AROUND if name in spec}
    return GenerateCommand(
        image_id=image_id,
        attempt=1,
        spec=replace(plain, **spec),
        share=share or Share(1),
        check_safety=False,
        **around,
    )


def finished(events: Iterable[Event]) -> list[Finished]:
    """Return the pictures among the events. Raise `RuntimeError` if an image failed: failures are not measured."""
    for event in events:
        if isinstance(event, ImageFailed):
            raise RuntimeError(str(event))
    return [event for event in events if isinstance(event, Finished)]


def run_alone(engine: Engine, order: GenerateCommand) -> Finished:
    """Run one image with the engine to itself."""
    engine.admit(order)
    done: list[Finished] = []
    while not engine.is_idle:
        done += finished(engine.step())
    return done[0]
