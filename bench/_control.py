"""ControlNets of every kind for `exact --control`: toys with random weights, drawn for some of the pictures."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from generation.images.codec import encode_png
from generation.models.catalog import Model
from generation.models.controls import ControlFile
from generation.requests.control import MAX_CONTROLS, NONE, PREPROCESSORS, UNION, Control
from tests.generation.engine.toy import TOY, XL_SHAPED, save_toy, save_toy_xl
from tests.generation.engine.toy_control import control_by, save_toy_adapter, save_toy_control, save_toy_union

_NUM_PICTURES = 3


def open_with_controls(family: str, folder: Path) -> Model:
    """Return a toy of that family with two ControlNets, two T2I-Adapters, one of which sees grey, and XL's Union."""
    from bench._painting import open_model

    is_xl = family == "sdxl"
    made: dict[str, Any] = {"family": family, "sizes": XL_SHAPED if is_xl else TOY}
    path = (save_toy_xl if is_xl else save_toy)(folder, sizes=made["sizes"])
    files: list[ControlFile] = [
        save_toy_control(folder, name="net", seed=1, **made),
        save_toy_control(folder, name="other", seed=2, **made),
        save_toy_adapter(folder, name="adapter", seed=3, **made),
        save_toy_adapter(folder, name="grey", seed=4, in_channels=1, **made),
    ]
    if is_xl:
        files.append(save_toy_union(folder, sizes=made["sizes"]))
    return replace(open_model(str(path)), controls=tuple(files))


def draw_controls(model: Model, generator: random.Random, side_px: int) -> dict[str, Any]:
    """Return one to three ControlNets of the model for a picture, and what they follow; none for every third."""
    if generator.random() < 1 / 3:
        return {}
    files = generator.choices(model.controls, k=generator.choice([1, 1, 2, MAX_CONTROLS]))
    followed = [generator.randrange(_NUM_PICTURES) for _ in files]
    return {
        "control": tuple(_draw(file, generator, which) for file, which in zip(files, followed, strict=True)),
        "control_pngs": tuple(draw_picture(which, side_px) for which in followed),
    }


def _draw(file: ControlFile, generator: random.Random, which: int) -> Control:
    """Return one at work, on picture number `which`."""
    begin, end = generator.choice([(0.0, 1.0), (0.0, 1.0), (0.0, 0.5), (0.3, 1.0)])
    return control_by(
        file,
        sha256=f"{which}" * 64,
        strength=generator.choice([0.3, 1.0, 1.5]),
        begin=begin,
        end=end,
        preprocessor=generator.choice([NONE, *PREPROCESSORS]),
        **({"mode": generator.choice(file.modes)} if file.kind == UNION else {}),
    )


def draw_picture(which: int, side_px: int) -> bytes:
    """Return one of a few pictures, the same each time."""
    return encode_png(random.Random(which).randbytes(3 * side_px * side_px), (side_px, side_px))
