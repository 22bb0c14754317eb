"""The kinds of transformers that are read from one file: one file here for each."""

from __future__ import annotations

from generation.models.transformer_layouts import chroma, flux1, flux2, krea2, qwenimage, sd3, zimage
from generation.models.transformer_layouts.base import TransformerLayout

LAYOUTS: tuple[TransformerLayout, ...] = (
    zimage.LAYOUT,
    flux2.LAYOUT,
    qwenimage.LAYOUT,
    krea2.LAYOUT,
    chroma.LAYOUT,
    flux1.LAYOUT,  # behind FLUX.2, whose files have all that tells FLUX.1, and more
    sd3.LAYOUT,
)
