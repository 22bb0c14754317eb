"""Loads models of one file (`.safetensors`): weights from the file, the rest from a local folder.

Such a file has no settings and no word lists. Left to itself the library fetches them from the internet, even when
told not to; so a folder is always named, and may be any model folder of the same kind, with or without weights.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from generation.engine.devices import Device
from generation.engine.loading import ModelFolder, build, ready, refusing, take_weights
from generation.models.catalog import Model

_OLD_TEXT_NAME = re.compile(r"^(cond_stage_model\.transformer\.)(embeddings|encoder|final_layer_norm)\b")
"""How the first checkpoints name their text encoder; the library knows the later names only."""


class SingleFile(ModelFolder):
    """A checkpoint in one file. Every method raises `ModelRefusedError` as those of `ModelFolder` do."""

    def __init__(self, file: Path, family: str, *, config: Path, vae: Path | None = None, prediction: str = "") -> None:
        super().__init__(config, family, file=file, vae=vae, prediction=prediction)
        self._file = file

    def clip_text(self, name: str, device: Device, *, projected: bool = False) -> Any:
        cls = CLIPTextModelWithProjection if projected else CLIPTextModel
        options = {"subfolder": name, "config": str(self._path), "local_files_only": True, "torch_dtype": device.dtype}
        with refusing(self._file, f"its {name} does not fit the settings"):
            model = create_diffusers_clip_model_from_ldm(cls, dict(self._weights), **options)
        return ready(self._file, model, device)

    def unet(self, device: Device) -> Any:
        return build(UNet2DConditionModel, self._file, self._weights, self._path / "unet", device)

    def _own_vae(self, device: Device, cls: Any) -> Any:
        return build(cls, self._file, self._weights, self._path / "vae", device)

    @cached_property
    def _weights(self) -> dict[str, Any]:
        return {_OLD_TEXT_NAME.sub(r"\1text_model.\2", name): each for name, each in take_weights(self._file).items()}


def open_model(model: Model) -> ModelFolder:
    """Return a model of the catalogue, checked. Raise `ModelRefusedError` if it fails the check."""
    if model.config is None:
        return ModelFolder(model.path, model.family, vae=model.vae, prediction=model.prediction)
    return SingleFile(model.path, model.family, config=model.config, vae=model.vae, prediction=model.prediction)
