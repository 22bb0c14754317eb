"""The VAE of Qwen-Image in one file, under Wan's names (as ComfyUI keeps it) or those of diffusers. No torch.

It was made for films. That of Wan 2.1 has the same names and shapes, and reads and writes the same latents.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes

CLASS = "AutoencoderKLQwenImage"
FIRST = ("decoder.conv_in.weight", "decoder.conv1.weight")
"""The layer that takes latents, by diffusers' names (of pictures' VAE too) and by Wan's."""
_LAYER = re.compile(
    r"encoder\.(?:downsamples|down_blocks)\.(\d+)\.(?:(residual\.2|conv1)|(resample\.1)|(time_conv))\.weight"
)
"""A layer's first convolution, or what halves sides, or frames."""


def is_film_vae(shapes: Shapes) -> bool:
    """Return whether names are those of such a VAE."""
    return any(_LAYER.fullmatch(name) for name in shapes)


def derive_film_vae(shapes: Shapes) -> Mapping[str, Any]:
    """Return its settings. Raise `IncompatibleFileError` if its shapes are unknown here."""
    widths, halvings = dict[int, int](), dict[int, bool]()
    for name, shape in shapes.items():
        if found := _LAYER.fullmatch(name):
            place = int(found[1])
            if found[2]:
                widths[place] = shape[0]
            else:
                halvings[place] = halvings.get(place, False) or bool(found[4])
    levels = [
        [at for at in sorted(widths) if _count_below(halvings, at) == level] for level in range(len(halvings) + 1)
    ]
    channels = next((shapes[name][1] for name in FIRST if name in shapes), 0)
    if not all(levels) or not channels:
        raise IncompatibleFileError("is a VAE of films that is not known here")
    base = widths[levels[0][0]]
    return {
        "_class_name": CLASS,
        "base_dim": base,
        "z_dim": channels,
        "dim_mult": [widths[level[0]] // base for level in levels],
        "num_res_blocks": len(levels[0]),
        "attn_scales": [],
        "temperal_downsample": [halvings[place] for place in sorted(halvings)],
        "dropout": 0.0,
    }


def _count_below(places: Collection[int], limit: int) -> int:
    return sum(place < limit for place in places)
