"""Loads models of one file (`.safetensors`): weights from the file, the rest from a local folder.

Such a file has no settings and no word lists. Left to itself the library fetches them from the internet, even when
told not to; so a folder is always named, and may be any model folder of the same kind, with or without weights.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from generation.engine.devices import Device
from generation.engine.loading import OTHER_SETTINGS, ModelFolder, build, ready, refusing, take_weights
from generation.engine.shared_parts import SharedParts
from generation.engine.stored_weights import fill, multiply_out, store, take_scales
from generation.models.catalog import Model
from generation.models.transformer_file import strip_prefix

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
        weights, scales = take_scales(take_weights(self._file))
        whole = {name: multiply_out(weights[name], scale, torch.float32) for name, scale in scales.items()}
        return {_OLD_TEXT_NAME.sub(r"\1text_model.\2", name): each for name, each in (weights | whole).items()}


class TransformerFile(ModelFolder):
    """A diffusion transformer in one file; its text encoder and its VAE lie elsewhere."""

    def transformer(self, cls: Any, device: Device) -> Any:
        with refusing(self._file, "it does not fit the settings", OTHER_SETTINGS):
            weights, scales = take_scales(strip_prefix(take_weights(self._file)))
            with init_empty_weights():
                model = cls.from_config(cls.load_config(self._path / "transformer", local_files_only=True))
            if not weights.keys() >= model.state_dict().keys():
                weights, scales = (_rename(cls, each) for each in (weights, scales))
            fill(model, weights, scales, device.dtype)
        if self._storage:
            store(model)
        return ready(self._file, model, device)


def _rename(cls: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a transformer under the names of diffusers.

    Its converters rename, and cut and join rows: the same for weights and for their scales.
    """
    renamed: dict[str, Tensor] = SINGLE_FILE_LOADABLE_CLASSES[cls.__name__]["checkpoint_mapping_fn"](dict(tensors))
    return renamed


def open_model(model: Model, shared: SharedParts | None = None) -> ModelFolder:
    """Return a model of the catalogue, checked. Raise `ModelRefusedError` if it fails the check.

    `shared`: the parts that other models have in memory.
    """
    parts = {"vae": model.vae, "text_encoder": model.text_encoder}
    options: dict[str, Any] = {**parts, "prediction": model.prediction, "storage": model.storage, "shared": shared}
    if model.config is None:
        return ModelFolder(model.path, model.family, **options)
    cls = SingleFile if model.info.reads_clip else TransformerFile
    return cls(model.config, model.family, file=model.path, **options)
