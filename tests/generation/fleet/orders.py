"""Commands and models for the light engine, without torch."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from generation.jobs.protocol import GenerateCommand, Share
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.requests.spec import ImageSpec


def a_spec(**changes: Any) -> ImageSpec:
    plain: dict[str, Any] = {
        "prompt": "a red cat",
        "model": "toy",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance": 3.0,
        "sampler": "DDIM",
        "seed": 5,
    }
    return ImageSpec(**plain | changes)


def an_order(spec: ImageSpec | None = None, *, image_id: str = "a-0", attempt: int = 1) -> GenerateCommand:
    return GenerateCommand(
        image_id=image_id, attempt=attempt, spec=spec or a_spec(), share=Share(1), check_safety=False
    )


ENDLESS = a_spec(prompt="endless-image", steps=150)
"""What the light engine never gets done."""


@cache
def _built_in() -> Model:
    return Catalog.open(PAINTBOX).default


def a_model(name: str = "toy", *, sha256: str = "", folder: str = "no", **more: Any) -> Model:
    """Return a model that is no more than its entry."""
    plain: dict[str, Any] = {"name": name, "path": Path(folder) / name, "sha256": sha256, "loras": ()}
    return replace(_built_in(), **plain | more)
