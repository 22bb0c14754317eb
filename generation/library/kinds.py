"""What a file or folder is for, told from names, shapes and small JSON files. No weights are opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation.engine.folder import WEIGHTS_THAT_RUN_CODE, read_json
from generation.library.register import Kind
from generation.library.tensors import Tensors, read_tensors

FAMILIES: Mapping[str, str] = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
"""The engine's families by the class that `model_index.json` names."""
LORA_PARTS = re.compile(
    r"^(?P<layer>.+?)\.(?P<part>lora_down\.weight|lora_up\.weight|alpha"
    r"|lora_A\.weight|lora_B\.weight|lora\.down\.weight|lora\.up\.weight"
    r"|lora_linear_layer\.down\.weight|lora_linear_layer\.up\.weight)$"
)
"""How the tensors of a plain LoRA are named by kohya's scripts, by PEFT and by diffusers, old and new."""

_DOWN = ("lora_down.weight", "lora_A.weight", "lora.down.weight")
_CHECKPOINT = "model.diffusion_model."
_CHECKPOINT_CONTEXT = re.compile(r"model\.diffusion_model\..+\.attn2\.to_k\.weight")
_VAE_PARTS = ("encoder.conv_in.weight", "decoder.conv_in.weight")
_TEXT_ONLY = 2


@dataclass(frozen=True, slots=True)
class Description:
    """What was found out about a file or folder."""

    kind: Kind
    family: str = ""
    context_width: int = 0
    metadata: Mapping[str, str] | None = None


def describe(path: Path) -> Description:
    """What lies at `path`. Raises `ValueError` saying why it cannot be used (to follow its name in a sentence)."""
    if path.is_dir():
        return _describe_folder(path)
    if path.suffix.lower() in WEIGHTS_THAT_RUN_CODE:
        raise ValueError(
            f"is a {path.suffix.lower()} file, which can run code when it is opened, so it never is; look for the same"
            " model as .safetensors on its page, or convert it on a machine you can spare"
        )
    if path.suffix.lower() != ".safetensors":
        raise ValueError("is neither a folder in the diffusers layout nor a .safetensors file")
    return _describe_tensors(read_tensors(path))


def family_of_folder(path: Path) -> str:
    """The family of a folder in the diffusers layout. Raises `ValueError` as `describe` does."""
    try:
        name = read_json(path / "model_index.json").get("_class_name")
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError("has no model_index.json") from None
    except (OSError, ValueError, RecursionError):
        raise ValueError("has a model_index.json that cannot be read") from None
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"is not of a kind that can be run; {' and '.join(FAMILIES)} are")
    return FAMILIES[name]


def folder_context_width(path: Path) -> int:
    """Numbers a token that the UNet of a folder reads from the prompt; 0 where its settings do not say."""
    return unet_setting(path, "cross_attention_dim")


def unet_setting(path: Path, name: str) -> int:
    """Return a whole number from the settings of a folder's UNet; 0 where they do not say."""
    try:
        value = read_json(path / "unet" / "config.json").get(name)
    except (OSError, ValueError, RecursionError):
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _describe_folder(path: Path) -> Description:
    if (path / "model_index.json").is_file():
        return Description(Kind.MODEL, family_of_folder(path), folder_context_width(path))
    try:
        settings: dict[str, Any] = read_json(path / "config.json")
    except (OSError, ValueError, RecursionError):
        raise ValueError("has neither a model_index.json nor a config.json that can be read") from None
    if settings.get("_class_name") != "AutoencoderKL":
        raise ValueError("is a part of a model; of parts only a VAE (AutoencoderKL) can be used by itself")
    return Description(Kind.VAE)


def _describe_tensors(tensors: Tensors) -> Description:
    shapes = tensors.shapes
    if any(name.startswith(_CHECKPOINT) for name in shapes):
        family = "sdxl" if any(name.startswith("conditioner.embedders.1.") for name in shapes) else "sd"
        widths = [shape[-1] for name, shape in shapes.items() if _CHECKPOINT_CONTEXT.fullmatch(name)]
        return Description(Kind.MODEL, family, max(widths, default=0), tensors.metadata)
    if any(LORA_PARTS.match(name) for name in shapes):
        _require_plain_lora(shapes)
        return Description(Kind.LORA, context_width=_lora_context(shapes), metadata=tensors.metadata)
    if all(name.removeprefix("first_stage_model.") in shapes or name in shapes for name in _VAE_PARTS):
        return Description(Kind.VAE, metadata=tensors.metadata)
    if 0 < len(shapes) <= _TEXT_ONLY and all(len(shape) in (1, 2) for shape in shapes.values()):
        return Description(
            Kind.EMBEDDING, context_width=sum(shape[-1] for shape in shapes.values()), metadata=tensors.metadata
        )
    raise ValueError("is no checkpoint, LoRA, textual inversion or VAE that is known here")


def _require_plain_lora(shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name in shapes:
        if not LORA_PARTS.match(name):
            raise ValueError(f"holds {name}: only plain LoRA can be used, no DoRA, LoHa, LoKr or the like")


def _lora_context(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """What the LoRA's parts for cross-attention read, where it has any."""
    for name, shape in shapes.items():
        if re.search(r"attn2[._](processor\.)?to_[kv]", name) and name.endswith(_DOWN):
            return shape[1]
    return 0
