"""Pictures as CLIP's image encoders see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def prepare_clip(picture: np.ndarray, side: int, mean: Sequence[float] = _MEAN, std: Sequence[float] = _STD) -> Tensor:
    """Prepare pixels (1, 3, side, side) as CLIP's image processor does: shortest side, centre crop, normalise."""
    image = PillowImage.fromarray(picture)
    shortest = min(image.size)
    size = (side * image.width // shortest, side * image.height // shortest)
    image = image.resize(size, PillowImage.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cropped = np.asarray(image.crop((left, top, left + side, top + side)), np.float32) / 255.0
    normal = torch.from_numpy((cropped - np.array(mean, np.float32)) / np.array(std, np.float32))
    return normal.permute(2, 0, 1)[None].contiguous()
