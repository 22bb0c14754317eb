"""Stable Diffusion's safety checker: a CLIP vision tower and 20 concepts. It scores final pixels, and fails closed.

The stock class answers with booleans, blackens pictures in place and takes not-a-number for safe. We use its
weights and its arithmetic (cosine distances to fixed concepts less a threshold each) and judge ourselves. Scores are
not rounded to three places as the stock class does, so we are stricter by at most 0.0005.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from torch import Tensor

from generation.engine.clip_pixels import prepare_clip
from generation.engine.devices import Device
from generation.engine.loading import load_transformer
from generation.models.hashing import hash_files
from generation.models.json_file import read_json
from generation.models.layout import ModelRefusedError, check_part
from generation.models.shared_additions import AddedChecker
from generation.program import format_command
from generation.safety.verdict import Score, Scores

_ADJUSTMENT = 0.01
"""What the stock class adds to the concepts where one of special care matches, and what a level of strictness adds."""


class ClipChecker:
    """A loaded `StableDiffusionSafetyChecker`, always in float32. Raise `ModelRefusedError` as models do.

    `name` goes before the names of its scores, where one checker is for all models and another for one.
    """

    def __init__(self, folder: Path, device: Device, *, name: str = "") -> None:
        check_part(folder)
        self._prefix = f"{name} " if name else ""
        self._device = Device(device.home, torch.float32, device.num_threads)
        self._model = load_transformer(StableDiffusionSafetyChecker, folder, self._device)
        settings = folder / "preprocessor_config.json"
        preprocessor: dict[str, Any] = read_json(settings) if settings.is_file() else {}
        named = {"mean": preprocessor.get("image_mean"), "std": preprocessor.get("image_std")}
        self._normal = {name: values for name, values in named.items() if values is not None}
        self._side: int = self._model.config.vision_config.image_size

    @torch.inference_mode()  # of the thread it runs in
    def look(self, picture: np.ndarray) -> Scores:
        """Return the scores of (height, width, 3) uint8 pixels."""
        model = self._model
        pixels = prepare_clip(picture, self._side, **self._normal).to(self._device.torch_device)
        embedding = model.visual_projection(model.vision_model(pixels)[1])
        care = cosine_distance(embedding, model.special_care_embeds)[0] - model.special_care_embeds_weights
        concepts = cosine_distance(embedding, model.concept_embeds)[0] - model.concept_embeds_weights
        return {f"{self._prefix}{name}": score for name, score in score_concepts(care, concepts).items()}


def score_concepts(care: Tensor, concepts: Tensor) -> Scores:
    """Return the highest of (3,) special-care and (17,) concept margins over their thresholds. Not-a-number stays."""
    care, concepts = care.double().cpu(), concepts.double().cpu()
    if bool((care > 0).any()):
        concepts = concepts + _ADJUSTMENT
    return {
        "care": Score(float(care.max()), 0.0, is_age=True),
        "concept": Score(float(concepts.max()), _ADJUSTMENT),
    }


def load_added(added: AddedChecker, device: Device) -> ClipChecker:
    """Return a checker that was added for all models. Raise `ModelRefusedError` if it is not what was added."""
    if hash_files(added.path) != added.sha256:
        problem = "it has changed since it was added, or is gone."
        remedy = f"Put it back, or remove it: {format_command(f'models remove {added.name}')}."
        raise ModelRefusedError(folder=str(added.path), problem=problem, remedy=remedy)
    return ClipChecker(added.path, device, name=added.name)
