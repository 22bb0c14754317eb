"""The safety checker: scores final pixels, and fails closed.

The stock class answers with booleans, blackens pictures in place and takes not-a-number for safe. We use its
weights and its arithmetic (cosine distances to fixed concepts less a threshold each) and judge ourselves: a picture
passes only if every score is a number and none is above zero. Scores are not rounded to three places as the stock
class does, so we are stricter by at most 0.0005.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.devices import Device
from generation.engine.loading import load_transformer
from generation.models.json_file import read_json
from generation.models.layout import check_part

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CARE_ADJUSTMENT = 0.01


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """Whether a picture may be shown; `scores` above zero speak against it (only finite ones are listed)."""

    is_safe: bool
    scores: dict[str, float]
    is_certain: bool = True
    """False where a score is not a number: such a picture is shown nowhere, whatever was chosen."""
    is_forbidden: bool = False
    """Young and sexual at once, as the checker's two kinds of concepts see it: shown and kept nowhere, by no choice."""


class SafetyChecker:
    """A loaded `StableDiffusionSafetyChecker`, always in float32. Raise `ModelRefusedError` as models do."""

    def __init__(self, folder: Path, device: Device) -> None:
        check_part(folder)
        self._device = Device(device.home, torch.float32, device.num_threads)
        self._model = load_transformer(StableDiffusionSafetyChecker, folder, self._device)
        settings = folder / "preprocessor_config.json"
        preprocessor: dict[str, Any] = read_json(settings) if settings.is_file() else {}
        self._mean = np.array(preprocessor.get("image_mean", _CLIP_MEAN), np.float32)
        self._std = np.array(preprocessor.get("image_std", _CLIP_STD), np.float32)
        self._side: int = self._model.config.vision_config.image_size

    def check(self, picture: np.ndarray) -> SafetyVerdict:
        """Return the verdict on (height, width, 3) uint8 pixels."""
        model = self._model
        embedding = model.visual_projection(model.vision_model(self._prepare(picture))[1])
        care = cosine_distance(embedding, model.special_care_embeds)[0] - model.special_care_embeds_weights
        concepts = cosine_distance(embedding, model.concept_embeds)[0] - model.concept_embeds_weights
        return judge(care.double().cpu(), concepts.double().cpu())

    def _prepare(self, picture: np.ndarray) -> Tensor:
        """Prepare pixels as CLIP's image processor does: shortest side to the model's, centre crop, normalise."""
        image = PillowImage.fromarray(picture)
        scale = self._side / min(image.size)
        size = (max(self._side, int(image.width * scale)), max(self._side, int(image.height * scale)))
        image = image.resize(size, PillowImage.Resampling.BICUBIC)
        left, top = (image.width - self._side) // 2, (image.height - self._side) // 2
        cropped = np.asarray(image.crop((left, top, left + self._side, top + self._side)), np.float32) / 255.0
        normal = torch.from_numpy((cropped - self._mean) / self._std)
        return normal.permute(2, 0, 1)[None].contiguous().to(self._device.torch_device)


def judge(care: Tensor, concepts: Tensor) -> SafetyVerdict:
    """Return the verdict on margins over threshold, (3,) special-care and (17,) concept scores.

    Not-a-number refuses.
    """
    if bool((care > 0).any()):
        concepts = concepts + _CARE_ADJUSTMENT
    is_certain = bool(torch.isfinite(care).all() and torch.isfinite(concepts).all())
    is_safe = is_certain and bool((concepts <= 0).all())
    is_forbidden = bool((care > 0).any() and (concepts > 0).any())
    highest = {"care": float(care.max()), "concept": float(concepts.max())}
    scores = {name: round(score, 4) for name, score in highest.items() if np.isfinite(score)}
    return SafetyVerdict(is_safe, scores, is_certain, is_forbidden)
