"""A model's parts, from a local folder or a file and its settings, under the rules of `models/layout.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    Qwen2TokenizerFast,
    T5TokenizerFast,
)

from generation.engine.devices import Device
from generation.engine.loading import (
    OTHER_SETTINGS,
    build,
    build_incomplete,
    fill_transformer,
    holds_small,
    load_clip,
    load_diffuser,
    load_language,
    load_transformer,
    ready,
    refusal,
    refusing,
    take_weights,
)
from generation.engine.samplers import check_samplers
from generation.engine.shared_parts import SharedParts
from generation.engine.stored_weights import store, take_whole
from generation.engine.vae_names import convert_vae
from generation.engine.vision_patches import PatchSettings, read_patch_settings
from generation.models.families import FAMILIES
from generation.models.json_file import read_json
from generation.models.layout import check_file, check_model, check_part, read_scheduler

_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Where a processor's settings lie, from the usual place to the newer one."""


class ModelFolder:
    """A checked model folder in the diffusers layout, part by part.

    Every method raises `ModelRefusedError` when the part is incomplete, damaged, or holds numbers that are not finite.
    """

    def __init__(
        self,
        path: Path,
        family: str,
        *,
        file: Path | None = None,
        parts: Mapping[str, Path] = MappingProxyType({}),
        prediction: str = "",
        storage: str = "",
        shared: SharedParts | None = None,
    ) -> None:
        """Take `file` for the weights if `path` does not hold them. `parts` (`vae`, `text_encoder` …) replace the
        model's own: each a folder with its `config.json`, or a file that fits the model's settings; they are those of
        `shared`.
        `prediction`: what the operator says it predicts.
        """
        config = path if file else None
        check_model(file or path, family, config=config, replaced=parts, prediction=prediction)
        self._path = path
        self._file = file or path
        """Where the weights of the denoiser lie."""
        self._parts = parts
        self._storage = storage
        self._shared = shared or SharedParts()
        self._scheduler_config = read_scheduler(path, family, file=file, prediction=prediction)
        try:
            check_samplers(self._scheduler_config, is_flow=FAMILIES[family].is_flow)
        except ValueError as error:
            raise refusal(path, f"its scheduler {error}.", "Use the settings of another model of its kind.") from error

    def index(self) -> dict[str, Any]:
        """Return the content of `model_index.json`."""
        return read_json(self._path / "model_index.json")

    def scheduler_config(self) -> dict[str, Any]:
        """Return the settings that every sampler is built from."""
        return self._scheduler_config

    def tokenizer(self, name: str) -> Any:
        with refusing(self._path, f"its {name} cannot be read"):
            return CLIPTokenizer.from_pretrained(self._path / name, local_files_only=True)

    def clip_text(self, name: str, device: Device, *, projected: bool = False) -> Any:
        cls = CLIPTextModelWithProjection if projected else CLIPTextModel
        other, own = self._parts.get(name), self._path / name
        if other is None:
            return self._own_clip(cls, name, device)
        return self._shared.get(other, cls.__name__, lambda: load_clip(cls, other, device, own))

    def _own_clip(self, cls: Any, name: str, device: Device) -> Any:
        return load_transformer(cls, self._path / name, device, attention="sdpa")

    def language_tokenizer(self, name: str, language: str) -> Any:
        """Return the tokenizer of a kind of language model."""
        cls = Qwen2TokenizerFast if language.startswith("qwen") else PreTrainedTokenizerFast
        with refusing(self._path, f"its {name} cannot be read"):
            return cls.from_pretrained(self._path / name, local_files_only=True)

    def t5_tokenizer(self, name: str) -> Any:
        """Return a tokenizer of T5."""
        with refusing(self._path, f"its {name} cannot be read"):
            return T5TokenizerFast.from_pretrained(self._path / name, local_files_only=True)

    def language_text(self, cls: Any, name: str, device: Device) -> Any:
        """Return a language model without its head, of that class of transformers."""
        other, own = self._parts.get(name), self._path / name
        if other is None:
            return self._own_language(cls, name, device)
        return self._shared.get(other, cls.__name__, lambda: load_language(cls, other, device, own))

    def _own_language(self, cls: Any, name: str, device: Device) -> Any:
        return load_language(cls, self._path / name, device)

    def seeing_text(self, cls: Any, name: str, device: Device) -> Any:
        """Return a language model with its half that sees pictures, which no file by itself is read for."""
        if name in self._parts:
            problem = "its prompts see pictures, and of a text encoder by itself only the half that reads is used."
            raise refusal(self._path, problem, "Add it without --text-encoder.")
        part = self._path / name
        if holds_small(part):
            problem = f"the half of its {name} that sees pictures is not read in fp8."
            raise refusal(self._path, problem, "Look for it in bf16 or fp16.")
        return load_transformer(cls, part, device, attention="sdpa")

    def patch_settings(self, vision: Any) -> PatchSettings:
        """Return how pictures are cut for a text encoder whose half that sees has these settings."""
        part = self._path / "processor"
        files = [each for name in _PROCESSOR_FILES if (each := part / name).is_file()]
        with refusing(self._path, "its processor cannot be read"):
            return read_patch_settings(vision, read_json(files[0]) if files else {})

    def find_token(self, tokenizer: Any, word: str) -> int:
        """Return the id of a mark. Raise `ModelRefusedError` for a tokenizer without it."""
        found = tokenizer.get_vocab().get(word)
        if found is None:
            raise refusal(self._path, f"its tokenizer has no {word}.", "Fetch it again.")
        return int(found)

    def transformer(self, cls: Any, device: Device) -> Any:
        """Return the denoiser of a diffusion transformer, of that class of diffusers."""
        part = self._path / "transformer"
        if holds_small(part):
            return fill_transformer(cls, part, part, device, self._storage)
        here = replace(device, torch_device=torch.device("cpu")) if self._storage else device
        denoiser = load_diffuser(cls, part, here)
        if self._storage:  # before it is on the card, where it would not fit whole
            store(denoiser)
        return denoiser.to(device.home)

    def unet(self, device: Device) -> Any:
        return load_diffuser(UNet2DConditionModel, self._path / "unet", device)

    def vae(self, device: Device, cls: Any = AutoencoderKL) -> Any:
        other = self._parts.get("vae")
        if other is None:
            return self._own_vae(device, cls)
        settings = self._path / "vae"
        return self._shared.get(other, cls.__name__, lambda: _load_vae(cls, other, settings, device))

    def _own_vae(self, device: Device, cls: Any) -> Any:
        return load_diffuser(cls, self._path / "vae", device)


def _load_vae(cls: Any, part: Path, settings: Path, device: Device) -> Any:
    """Return a VAE from a folder, or from a file that fits the settings."""
    if part.is_dir():
        check_part(part)
        return load_diffuser(cls, part, device)
    check_file(part)
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        weights = take_whole(take_weights(part))
        if cls is AutoencoderKL:
            return build(cls, part, weights, settings, device)
        with init_empty_weights():
            model = cls.from_config(cls.load_config(settings, local_files_only=True))
        found = model.load_state_dict(convert_vae(weights, model.config), strict=False, assign=True)
    if found.missing_keys:
        raise build_incomplete(part, sorted(found.missing_keys))
    return ready(part, model.to(device.dtype), device)
