"""Pictures as tensors and as RGB8 rows, with the rounding the stock pipelines use."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.errors import StartFileDamagedError, StartFileMissingError, StartFileSizeError
from generation.images.codec import decode_png
from generation.jobs.protocol import GenerateCommand


def read_picture(png: bytes | None, size_px: tuple[int, int], *, name: str) -> np.ndarray:
    """Return a PNG of ours as (height, width, 3) uint8. Raise `InvalidRequestError` if it is missing or of another
    size."""
    picture = read_any_picture(png, name=name)
    if picture.shape[1::-1] != size_px:
        height, width, _ = picture.shape
        raise StartFileSizeError(
            name=name, width=width, height=height, wanted_width=size_px[0], wanted_height=size_px[1]
        )
    return picture


def read_any_picture(png: bytes | None, *, name: str) -> np.ndarray:
    """Return a PNG of ours of any size as (height, width, 3) uint8. Raise `InvalidRequestError` if it is missing."""
    if png is None:
        raise StartFileMissingError(name=name)
    try:
        rows, (width, height) = decode_png(png)
    except (OSError, ValueError, SyntaxError):
        raise StartFileDamagedError(name=name) from None
    return np.frombuffer(rows, np.uint8).reshape(height, width, 3)


def read_start(order: GenerateCommand) -> np.ndarray | None:
    """Return what an order starts from, as `read_picture` does; None if it starts from noise."""
    spec = order.spec
    if spec.upscale is not None:
        return read_picture(order.start_png, (spec.width_px, spec.height_px), name="The picture to enlarge")
    if spec.start is not None:
        return read_picture(order.start_png, spec.start_size_px, name="The start picture")
    return None


def read_painted(order: GenerateCommand) -> np.ndarray:
    """Return the picture of an order that was painted elsewhere, as `read_picture` does."""
    return read_picture(order.painted_png, order.spec.result_size_px, name="The picture from elsewhere")


def to_model_range(picture: np.ndarray) -> Tensor:
    """Convert (height, width, 3) uint8 to (1, 3, height, width) float32 in -1..1."""
    scaled = torch.from_numpy(picture.astype(np.float32) / 255.0)
    return 2.0 * scaled.permute(2, 0, 1)[None].contiguous() - 1.0


def to_mask(picture: np.ndarray) -> Tensor:
    """Convert (height, width, 3) uint8 to (1, 1, height, width) of 0 (keep) and 1 (repaint): white is repainted."""
    grey = np.asarray(PillowImage.fromarray(picture).convert("L"), np.float32) / 255.0
    return torch.from_numpy((grey >= 0.5).astype(np.float32))[None, None]


def from_model_range(pixels: Tensor) -> np.ndarray:
    """Convert (1, 3, height, width) in about -1..1, without NaN, to (height, width, 3) uint8."""
    scaled = (pixels[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    rounded: np.ndarray = (scaled * 255).round().astype(np.uint8)
    return rounded


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return a small lossy file, for previews only."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
