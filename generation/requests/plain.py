"""Which pictures another program can paint from words, size, steps, guidance and seed alone."""

from __future__ import annotations

from msgspec import UNSET

from generation.requests.spec import ImageSpec

_SIGNS = frozenset("()[]{}|\\")
"""Of syntax that is read here; elsewhere they would be words."""


def is_plain(spec: ImageSpec) -> bool:
    """Return whether a picture needs nothing but what its prompts say in plain words."""
    from_picture = bool(spec.sources)
    is_special = spec.hires is not None or spec.variation is not None or spec.rescale is not UNSET or spec.clip_skip > 1
    is_special = is_special or bool(spec.cache) or (spec.is_guided and spec.true_cfg is not UNSET)
    has_addons = bool(spec.adapters or spec.embeddings)
    words = f"{spec.prompt} {spec.negative}"
    has_syntax = bool(_SIGNS.intersection(words) or "BREAK" in words or spec.areas)
    return not (from_picture or is_special or has_addons or has_syntax)
