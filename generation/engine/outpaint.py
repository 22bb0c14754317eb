"""Outpainting: the canvas a picture is encoded on, where to paint, and the picture put back inside.

Inpainting does the work; this knows the geometry. Along every edge that grows the picture melts into what is painted
over a *seam* of a sixteenth of its shorter side; further in it stays byte for byte, whatever the VAE makes of it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter

from generation.requests.edits import Margins
from generation.requests.ranges import SIDE_MULTIPLE_PX

_SEAM_PART = 16
_BLUR_PART = 8


def extend(picture: np.ndarray, margins: Margins) -> np.ndarray:
    """Return the canvas, uint8: the picture (height, width, 3) with its mirror image, blurred to colours, around it."""
    canvas = np.pad(picture, (*_get_padding(margins), (0, 0)), mode="symmetric")
    radius = min(picture.shape[:2]) / _BLUR_PART
    canvas = np.array(PillowImage.fromarray(canvas).filter(ImageFilter.GaussianBlur(radius)))
    canvas[_inside(canvas, margins)] = picture
    return canvas


def build_repaint_mask(picture: np.ndarray, margins: Margins) -> np.ndarray:
    """Return (canvas height, canvas width) float32: 1 where it is painted (with seam), 0 where the picture stays."""
    seam = (_compute_kept_share(picture, margins) < 1).astype(np.float32)
    return np.pad(seam, _get_padding(margins), constant_values=1.0)


def put_back(painted: np.ndarray, picture: np.ndarray, margins: Margins) -> np.ndarray:
    """Return the painted canvas with the picture laid over it again, fading out across the seam."""
    share = _compute_kept_share(picture, margins)[:, :, None]
    canvas = painted.copy()
    mixed = share * picture + (1 - share) * painted[_inside(painted, margins)]
    canvas[_inside(canvas, margins)] = mixed.round().astype(np.uint8)
    return canvas


def _compute_kept_share(picture: np.ndarray, margins: Margins) -> np.ndarray:
    """Return (height, width) of the picture, 0 to 1: how much of each pixel is kept."""
    height, width = picture.shape[:2]
    cells = min(height, width) // _SEAM_PART // SIDE_MULTIPLE_PX
    seam_px = SIDE_MULTIPLE_PX * max(1, cells)
    rows = _ramp(height, margins.top, margins.bottom, seam_px)
    columns = _ramp(width, margins.left, margins.right, seam_px)
    share: np.ndarray = np.minimum(rows[:, None], columns[None, :])
    return share


def _ramp(length: int, before_px: int, after_px: int, seam_px: int) -> np.ndarray:
    place = np.arange(length) + 0.5
    ramp = np.ones(length)
    if before_px:
        ramp = np.minimum(ramp, place / seam_px)
    if after_px:
        ramp = np.minimum(ramp, (length - place) / seam_px)
    return ramp


def _get_padding(margins: Margins) -> tuple[tuple[int, int], tuple[int, int]]:
    return (margins.top, margins.bottom), (margins.left, margins.right)


def _inside(canvas: np.ndarray, margins: Margins) -> tuple[slice, slice]:
    height, width = canvas.shape[:2]
    return slice(margins.top, height - margins.bottom), slice(margins.left, width - margins.right)
