"""What of a file are the vectors of a textual inversion, told from names and shapes. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

_PAIR = ("clip_l", "clip_g")
"""What a textual inversion for two text encoders calls the vectors of the first and the second."""
_OTHER_ENCODERS = frozenset(("clip_g", "t5", "t5xxl", "qwen", "llama"))
MAX_VECTORS = 64


def word_tensors(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Return the names of a textual inversion's vectors, one for each text encoder; none if it is no such file.

    Raise `ValueError` for one that was made for other text encoders, or holds too many vectors.
    """
    names = [name for name, shape in shapes.items() if math.prod(shape) != 1]  # beside them lie counts of steps
    vectors = _PAIR if set(names) == set(_PAIR) else tuple(names)
    if not vectors or any(len(shapes[name]) not in (1, 2) for name in vectors):
        return ()
    if others := sorted(_OTHER_ENCODERS & set(vectors)) if vectors != _PAIR else []:
        raise ValueError(f"holds words for a text encoder that Stable Diffusion 1, 2 and XL do not have ({others[0]})")
    if len(vectors) > 1 and vectors != _PAIR:
        return ()
    counts = {shapes[name][0] if len(shapes[name]) == 2 else 1 for name in vectors}
    if len(counts) > 1 or not 0 < min(counts) <= MAX_VECTORS:
        raise ValueError(f"must hold 1 to {MAX_VECTORS} vectors, equally many for each text encoder")
    return vectors
