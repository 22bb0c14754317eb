"""Parts of a picture to repaint: cells of a 3 x 3 grid, as people choose them on a phone, and the mask drawn of them.

The cells stay in the spec and the mask is drawn again from them, so such a picture can be made again when no file of
it is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from PIL import Image as PillowImage

from generation.images.codec import encode_png
from generation.requests.errors import RegionError
from generation.translatable import Phrase

GRID = 3
CELLS = (
    Phrase("top left"),
    Phrase("top"),
    Phrase("top right"),
    Phrase("left"),
    Phrase("middle"),
    Phrase("right"),
    Phrase("bottom left"),
    Phrase("bottom"),
    Phrase("bottom right"),
)
"""Row by row: the index of a name is the number of its cell."""


def draw_mask(cells: Iterable[int], size_px: tuple[int, int]) -> bytes:
    """Return a PNG of `size_px`, white in the cells (to be repainted), black elsewhere.

    Raise `RegionError` for bad cells.
    """
    chosen = sorted(set(cells))
    if not chosen or not set(chosen) <= set(range(len(CELLS))):
        raise RegionError
    width, height = size_px
    mask = PillowImage.new("RGB", size_px)
    for cell in chosen:
        row, column = divmod(cell, GRID)
        box = (column * width // GRID, row * height // GRID, (column + 1) * width // GRID, (row + 1) * height // GRID)
        mask.paste("white", box)
    return encode_png(mask.tobytes(), size_px)


def mask_sha256(cells: Iterable[int], size_px: tuple[int, int]) -> str:
    """Return the name of that mask: SHA-256 of its file."""
    return hashlib.sha256(draw_mask(cells, size_px)).hexdigest()
