"""The kinds of transformers that are read from one file: one file here for each."""

from __future__ import annotations

from generation.models.transformer_layouts import flux2, krea2, qwenimage, zimage
from generation.models.transformer_layouts.base import TransformerLayout

LAYOUTS: tuple[TransformerLayout, ...] = (zimage.LAYOUT, flux2.LAYOUT, qwenimage.LAYOUT, krea2.LAYOUT)
