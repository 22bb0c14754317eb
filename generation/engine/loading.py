"""Loads models from local folders, offline, under the rules of `models/layout.py`: every class is named here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, Qwen2TokenizerFast

from generation.engine.devices import Device
from generation.engine.error_classes import is_engine_broken, is_out_of_memory
from generation.engine.samplers import check_samplers
from generation.engine.shared_parts import SharedParts
from generation.engine.stored_weights import fill, is_finite, store, take_scales
from generation.engine.vae_names import convert_vae
from generation.errors import AtelierError
from generation.models.families import FAMILIES
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.json_file import read_json
from generation.models.layout import ModelRefusedError, check_file, check_model, check_part, read_scheduler
from generation.progress import advance

_FETCH = "Fetch it again."
OTHER_SETTINGS = "Look for a whole copy of it, or name the settings of the same kind of model (--config)."


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
        vae: Path | None = None,
        text_encoder: Path | None = None,
        prediction: str = "",
        storage: str = "",
        shared: SharedParts | None = None,
    ) -> None:
        """Take `file` for the weights if `path` does not hold them. `vae` and `text_encoder` replace the model's own: a
        folder with its `config.json`, or a file that fits the model's settings; they are those of `shared`.
        `prediction`: what the operator says it predicts.
        """
        config = path if file else None
        replaced = {"vae": vae, "text_encoder": text_encoder}
        names = [name for name, part in replaced.items() if part is not None]
        check_model(file or path, family, config=config, replaced=names, prediction=prediction)
        self._path = path
        self._file = file or path
        """Where the weights of the denoiser lie."""
        self._other_vae = vae
        self._other_text = text_encoder
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
        return load_transformer(cls, self._path / name, device, attention="sdpa")

    def language_tokenizer(self, name: str) -> Any:
        """Return a Qwen tokenizer."""
        with refusing(self._path, f"its {name} cannot be read"):
            return Qwen2TokenizerFast.from_pretrained(self._path / name, local_files_only=True)

    def language_text(self, cls: Any, name: str, device: Device) -> Any:
        """Return a language model without its head, of that class of transformers."""
        other = self._other_text
        if other is None:
            return load_transformer(cls, self._path / name, device, attention="sdpa")
        settings = self._path / name
        return self._shared.get(other, cls.__name__, lambda: _load_text(cls, other, settings, device))

    def transformer(self, cls: Any, device: Device) -> Any:
        """Return the denoiser of a diffusion transformer, of that class of diffusers."""
        here = replace(device, torch_device=torch.device("cpu")) if self._storage else device
        denoiser = load_diffuser(cls, self._path / "transformer", here)
        if self._storage:  # before it is on the card, where it would not fit whole
            store(denoiser)
        return denoiser.to(device.home)

    def unet(self, device: Device) -> Any:
        return load_diffuser(UNet2DConditionModel, self._path / "unet", device)

    def vae(self, device: Device, cls: Any = AutoencoderKL) -> Any:
        other = self._other_vae
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
    if cls is AutoencoderKL:
        return build(cls, part, take_weights(part), settings, device)
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        with init_empty_weights():
            model = cls.from_config(cls.load_config(settings, local_files_only=True))
        found = model.load_state_dict(convert_vae(take_weights(part), model.config), strict=False, assign=True)
    if found.missing_keys:
        raise _build_incomplete(part, sorted(found.missing_keys))
    return ready(part, model.to(device.dtype), device)


def _load_text(cls: Any, part: Path, settings: Path, device: Device) -> Any:
    """Return a language model from a folder, or from a file and the settings."""
    if part.is_dir():
        check_part(part)
        return load_transformer(cls, part, device, attention="sdpa")
    check_file(part)
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        config = cls.config_class.from_pretrained(settings, local_files_only=True)
        with init_empty_weights():
            model = cls._from_config(config, attn_implementation="sdpa")
        weights, scales = take_scales(take_weights(part))
        own = {name: name.removeprefix("model.") for name in weights}  # it has no head
        named = {own[name]: weight for name, weight in weights.items()}
        fill(model, named, {own[name]: scale for name, scale in scales.items()}, device.dtype)
    return ready(part, model, device)


def load_diffuser(cls: Any, path: Path, device: Device) -> Any:
    """Return a diffusers model from safetensors, complete and finite, on the device."""
    variant = _find_variant(path, "diffusion_pytorch_model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "torch_dtype": device.dtype})


def load_transformer(cls: Any, path: Path, device: Device, *, attention: str = "eager") -> Any:
    """Return a transformers model from safetensors, complete and finite, on the device."""
    variant = _find_variant(path, "model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "dtype": device.dtype, "attn_implementation": attention})


def take_weights(file: Path) -> dict[str, Any]:
    """Return every tensor of a file of weights."""
    with refusing(file, "it cannot be read"):
        if file.suffix == GGUF:
            from generation.engine.gguf_weights import take_gguf  # only for such files: it needs a package of its own

            return take_gguf(file)
        weights: dict[str, Any] = load_file(file)
        return weights


def build(cls: Any, file: Path, weights: dict[str, Any], config: Path, device: Device) -> Any:
    """Return a diffusers model from a single file's weights and a folder's settings, complete and finite."""
    options = {"config": str(config.parent), "subfolder": config.name, "local_files_only": True}
    with refusing(file, f"its {config.name} does not fit the settings", OTHER_SETTINGS):
        model = cls.from_single_file(dict(weights), **options, torch_dtype=device.dtype)
    return ready(file, model, device)


def ready(path: Path, model: Any, device: Device) -> Any:
    """Return the model on its device, for reading only. Raise `ModelRefusedError` if weights are missing or not
    finite."""
    missing = [name for name, weight in model.named_parameters() if weight.is_meta]
    if missing:
        raise _build_incomplete(path, missing)
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            raise refusal(path, f"the weight {name} is not finite.", "Look for another copy of it.")
        advance()
    return model.to(device.home).eval().requires_grad_(False)


def first_line(error: Exception) -> str:
    """Return the first line of a library's error."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def refusing(path: Path, problem: str, remedy: str = _FETCH) -> Iterator[None]:
    """Raise `ModelRefusedError` for any error of a library on other people's files: libraries raise many kinds.

    Memory that ran out and a broken device say nothing of the file.
    """
    try:
        yield
    except AtelierError:
        raise
    except Exception as error:
        if is_out_of_memory(error) or is_engine_broken(error):
            raise
        raise refusal(path, f"{problem} ({first_line(error)}).", remedy) from error


def refusal(path: Path, problem: str, remedy: str) -> ModelRefusedError:
    return ModelRefusedError(folder=str(path), problem=problem, remedy=remedy)


def _build_incomplete(path: Path, missing: list[str]) -> ModelRefusedError:
    return refusal(path, f"{len(missing)} weights are missing, among them {missing[0]}.", OTHER_SETTINGS)


def _load(cls: Any, path: Path, device: Device, options: dict[str, Any]) -> Any:
    with refusing(path, "its weights cannot be read"):
        model, info = cls.from_pretrained(path, **options)
    if info["missing_keys"]:
        raise _build_incomplete(path, sorted(info["missing_keys"]))
    return ready(path, model, device)


def _find_variant(path: Path, stem: str) -> str | None:
    """Return `fp16` where only half-precision files were downloaded."""
    has_plain = (path / f"{stem}.safetensors").is_file() or (path / f"{stem}.safetensors.index.json").is_file()
    return "fp16" if not has_plain and any(path.glob(f"{stem}.fp16*.safetensors")) else None
