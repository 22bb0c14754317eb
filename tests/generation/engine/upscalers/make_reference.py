"""Writes what the reference implementation makes of the toys: `reference.safetensors` beside this file.

    pip download --no-deps spandrel==0.4.2, unpack it, and name its folder in PYTHONPATH:
    python -m tests.generation.engine.upscalers.make_reference

Not a dependency: spandrel wants torchvision and einops, which none of these networks uses; here they are empty.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from safetensors.numpy import save_file

from tests.generation.engine.upscalers.toy_upscalers import TOYS, draw_pixels

UNUSED = (
    *("einops", "einops.layers", "einops.layers.torch"),
    *("torchvision", "torchvision.models", "torchvision.transforms", "torchvision.transforms.functional"),
)
REFERENCE = Path(__file__).parent / "reference.safetensors"


def compute_reference() -> dict[str, np.ndarray]:
    """Return spandrel's output of every toy for the same pixels."""
    for name in UNUSED:
        sys.modules.setdefault(name, MagicMock())
    import spandrel  # type: ignore[import-not-found]

    pixels, found = torch.from_numpy(draw_pixels()), {}
    for name, toy in TOYS.items():
        weights = {key: torch.from_numpy(array.astype(np.float32)) for key, array in toy.rename(toy.weights()).items()}
        loaded: Any = spandrel.ModelLoader("cpu").load_from_state_dict(weights)
        assert loaded.scale == toy.scale, name
        with torch.inference_mode():
            found[name] = loaded.model.eval()(pixels).numpy()
    return found


if __name__ == "__main__":
    save_file(compute_reference(), REFERENCE)
