"""IP-Adapters of both kinds for `exact --ip-adapter`: toys with random weights, drawn for some of the pictures."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench._control import draw_picture, open_with_controls
from generation.models.catalog import Model
from tests.generation.engine.toy import TOY, XL_SHAPED
from tests.generation.engine.toy_ip_adapter import looking_by, save_toy_ip_adapter

_NUM_PICTURES = 3


def open_with_ip_adapters(family: str, folder: Path) -> Model:
    """Return a toy of that family with a standard IP-Adapter and a plus one, beside ControlNets of every kind."""
    made: dict[str, Any] = {"family": family, "sizes": XL_SHAPED if family == "sdxl" else TOY}
    files = (
        save_toy_ip_adapter(folder, name="standard", seed=1, **made),
        save_toy_ip_adapter(folder, name="plus", seed=2, plus=True, **made),
    )
    return replace(open_with_controls(family, folder), ip_adapters=files)


def draw_reference(model: Model, generator: random.Random, side_px: int) -> dict[str, Any]:
    """Return an IP-Adapter of the model for a picture, and what it looks at; none for every third."""
    if generator.random() < 1 / 3:
        return {}
    which, strength = generator.randrange(_NUM_PICTURES), generator.choice([0.3, 0.6, 1.0, 1.5])
    prompt = looking_by(generator.choice(model.ip_adapters), sha256=f"{which}" * 64, strength=strength)
    return {"image_prompt": prompt, "image_prompt_png": draw_picture(which, side_px)}
