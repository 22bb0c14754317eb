"""Reading models from local folders, offline, under the rules of `folder.py`: every class is named here, none there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from generation.engine.devices import Device
from generation.engine.folder import FolderRefused, check_model, files_read, read_json


class ModelFolder:
    """A checked model folder in the diffusers layout, part by part.

    Every method raises `FolderRefused` when the part is incomplete, damaged, or holds numbers that are not finite.
    """

    def __init__(self, path: Path, family: str) -> None:
        check_model(path, family)
        self._path = path

    def index(self) -> dict[str, Any]:
        """What `model_index.json` says."""
        return read_json(self._path / "model_index.json")

    def scheduler_config(self) -> dict[str, Any]:
        return read_json(self._path / "scheduler" / "scheduler_config.json")

    def tokenizer(self, name: str) -> Any:
        return CLIPTokenizer.from_pretrained(self._path / name, local_files_only=True)

    def clip_text(self, name: str, device: Device, *, projected: bool = False) -> Any:
        cls = CLIPTextModelWithProjection if projected else CLIPTextModel
        return load_transformer(cls, self._path / name, device, attention="sdpa")

    def unet(self, device: Device) -> Any:
        unet = load_diffuser(UNet2DConditionModel, self._path / "unet", device)
        if unet.config.in_channels != unet.config.out_channels or unet.config.time_cond_proj_dim is not None:
            raise _refusal(self._path, "its UNet takes more inputs than latents, timestep and prompt.")
        return unet

    def vae(self, device: Device) -> Any:
        return load_diffuser(AutoencoderKL, self._path / "vae", device)


def load_diffuser(cls: Any, path: Path, device: Device) -> Any:
    """A diffusers model from safetensors, complete and finite, on the device."""
    variant = _variant(path, "diffusion_pytorch_model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "torch_dtype": device.dtype})


def load_transformer(cls: Any, path: Path, device: Device, *, attention: str = "eager") -> Any:
    """A transformers model from safetensors, complete and finite, on the device."""
    variant = _variant(path, "model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "dtype": device.dtype, "attn_implementation": attention})


def hash_files(folder: Path) -> str:
    """SHA-256 over every file that is read in the folder (weights, settings, vocabulary): name, then content."""
    total = hashlib.sha256()
    for path in files_read(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def _load(cls: Any, path: Path, device: Device, options: dict[str, Any]) -> Any:
    try:
        model, info = cls.from_pretrained(path, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _refusal(path, f"its weights cannot be read ({first_line[:200]}).") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise _refusal(path, f"{len(missing)} weights are missing, among them {missing[0]}.")
    _check_finite(path, model)
    return model.to(device.home).eval().requires_grad_(False)


def _check_finite(path: Path, model: Any) -> None:
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise _refusal(path, f"the weight {name} is not finite.")


def _variant(path: Path, stem: str) -> str | None:
    """`fp16` where only half-precision files were downloaded."""
    has_plain = (path / f"{stem}.safetensors").is_file() or (path / f"{stem}.safetensors.index.json").is_file()
    return "fp16" if not has_plain and any(path.glob(f"{stem}.fp16*.safetensors")) else None


def _refusal(path: Path, problem: str) -> FolderRefused:
    return FolderRefused(
        folder=str(path), problem=problem, remedy="Fetch it again as safetensors in the diffusers layout."
    )
