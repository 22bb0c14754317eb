"""Loads models of one file (`.safetensors`): weights from the file, the rest from a local folder.

Such a file has no settings and no word lists. Left to itself the library fetches them from the internet, even when
told not to; so a folder is always named, and may be any model folder of the same kind, with or without weights.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from generation.engine.devices import Device
from generation.engine.loading import build, fill_transformer, ready, refusing, take_weights
from generation.engine.model_folder import ModelFolder
from generation.engine.shared_parts import SharedParts
from generation.engine.stored_weights import take_whole
from generation.models.catalog import Model

_OLD_TEXT_NAME = re.compile(r"^(cond_stage_model\.transformer\.)(embeddings|encoder|final_layer_norm)\b")
"""How the first checkpoints name their text encoder; the library knows the later names only."""


class SingleFile(ModelFolder):
    """A checkpoint in one file. Every method raises `ModelRefusedError` as those of `ModelFolder` do."""

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
        weights = take_whole(take_weights(self._file))
        return {_OLD_TEXT_NAME.sub(r"\1text_model.\2", name): each for name, each in weights.items()}


class TransformerFile(ModelFolder):
    """A diffusion transformer in one file; its text encoder and its VAE lie elsewhere."""

    def transformer(self, cls: Any, device: Device) -> Any:
        return fill_transformer(cls, self._file, self._path / "transformer", device, self._storage)


def open_model(model: Model, shared: SharedParts | None = None) -> ModelFolder:
    """Return a model of the catalogue, checked. Raise `ModelRefusedError` if it fails the check.

    `shared`: the parts that other models have in memory.
    """
    options: dict[str, Any] = {"prediction": model.prediction, "storage": model.storage, "shared": shared}
    options["parts"] = model.parts
    if model.config is None:
        return ModelFolder(model.path, model.family, **options)
    cls = SingleFile if model.info.reads_clip else TransformerFile
    return cls(model.config, model.family, file=model.path, **options)
