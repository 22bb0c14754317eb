"""What a file or folder is for, told from names, shapes and small JSON files. No weights are opened."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generation.models import checkpoint, film_vae, transformer_file
from generation.models.checkpoint import LATENT_CHANNELS
from generation.models.control_kinds import (
    CLASSES,
    ControlDescription,
    describe_control_file,
    describe_control_folder,
)
from generation.models.families import BY_PIPELINE, FAMILIES
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.ip_adapter_layout import ENCODER_CLASS, is_image_encoder, is_ip_adapter, read_ip_adapter
from generation.models.json_file import read_json
from generation.models.layout import WEIGHTS_THAT_RUN_CODE
from generation.models.left_out import MODULAR_INDEX, explain_left_out, explain_no_index
from generation.models.lora_names import (
    check_settings,
    context_width,
    find_family,
    is_ignored,
    is_lora,
    read_names,
    read_settings,
)
from generation.models.part_settings import find_text_kind, is_text_encoder, list_text_kinds, read_text_settings
from generation.models.quantised import require_known, require_plain_settings
from generation.models.registry import Kind
from generation.models.safetensors_header import Tensors, read_tensors
from generation.models.upscaler_layout import is_upscaler, read_layout
from generation.models.words_layout import word_tensors
from generation.requests.defaults import Defaults
from generation.requests.ranges import MAX_CLIP_SKIP

_VAE_PARTS = ("encoder.conv_in.weight", "decoder.conv_in.weight")
_VAE_PREFIXES = ("", "first_stage_model.")
CHECKER_CLASS = "StableDiffusionSafetyChecker"
VAE_CLASSES = ("AutoencoderKL", "AutoencoderKLFlux2", film_vae.CLASS)
PX_PER_CELL = 8
NATIVE_PX = range(256, 2049)
"""Sides that a model may name as those of its training: others are those of toys, or no sizes at all."""


@dataclass(frozen=True, slots=True)
class Description:
    """What was found out about a file or folder."""

    kind: Kind
    family: str = ""
    context_width: int = 0
    metadata: Mapping[str, str] | None = None
    scale: int = 0
    note: str = ""
    """What of it is not used, in a sentence."""
    control_kind: str = ""
    """As a spec has it, and `num_modes` of a Union: how many kinds of maps it knows."""
    num_modes: int = 0

    @classmethod
    def of_control(cls, found: ControlDescription, metadata: Mapping[str, str] | None = None) -> Description:
        return cls(
            Kind.CONTROL,
            found.family,
            found.context_width,
            metadata,
            control_kind=found.kind,
            num_modes=found.num_modes,
        )


def describe(path: Path) -> Description:
    """Return what lies at `path`.

    Raise `ValueError` saying why it cannot be used (to follow its name in a sentence).
    """
    if path.is_dir():
        return _describe_folder(path)
    if path.suffix.lower() in WEIGHTS_THAT_RUN_CODE:
        raise ValueError(
            f"is a {path.suffix.lower()} file, which can run code when it is opened, so it never is; look for the same"
            " model as .safetensors on its page, or convert it on a machine you can spare"
        )
    if path.suffix == GGUF:
        return _describe_gguf(read_tensors(path), path.stem)
    if path.suffix.lower() != ".safetensors":
        raise ValueError("is neither a folder in the diffusers layout nor a .safetensors or .gguf file")
    return _describe_tensors(read_tensors(path), path.stem)


def read_text_kind(path: Path) -> str:
    """Return the kind of a text encoder by itself; empty for all else, and for what adding it refuses."""
    try:
        if not path.exists() or describe(path).kind is not Kind.TEXT_ENCODER:
            return ""
        return find_text_kind(read_text_settings(path))
    except (OSError, ValueError):
        return ""


def detect_family(path: Path) -> str:
    """Return the family of a folder in the diffusers layout. Raise `ValueError` as `describe` does."""
    try:
        name = read_json(path / "model_index.json").get("_class_name")
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(explain_no_index(path)) from None
    except (OSError, ValueError, RecursionError):
        raise ValueError("has a model_index.json that cannot be read") from None
    if not isinstance(name, str) or name not in BY_PIPELINE:
        if isinstance(name, str) and (why := explain_left_out(name)):
            raise ValueError(why)
        shown = f" ({name[:60]})" if isinstance(name, str) else ""
        raise ValueError(f"is not of a kind that can be run{shown}; {', '.join(BY_PIPELINE)} are")
    usual, *others = BY_PIPELINE[name]
    blocks = _read_setting(path / usual.denoiser, "num_layers")
    return next((family.name for family in others if family.num_blocks == blocks), usual.name)


def read_context_width(path: Path) -> int:
    """Return the numbers a token that a folder's UNet reads; 0 if its settings do not say."""
    return unet_setting(path, "cross_attention_dim")


def unet_setting(path: Path, name: str) -> int:
    """Return a whole number from the settings of a folder's UNet; 0 where they do not say."""
    return _read_setting(path / "unet", name)


def is_inpainting(path: Path) -> bool:
    """Return whether a folder's UNet sees a mask beside the latents."""
    return unet_setting(path, "in_channels") > LATENT_CHANNELS


def read_max_clip_skip(path: Path, family: str) -> int:
    """Return the largest clip skip that the text encoders of a folder have a layer for; 0 if their settings do not say.

    XL begins with the layer before the last. A language model has one layer that is read, and no other.
    """
    if not FAMILIES[family].reads_clip:
        return 1
    parts = FAMILIES[family].text_encoders
    layers = min(_read_setting(path / part, "num_hidden_layers") for part in parts)
    return min(MAX_CLIP_SKIP, max(0, layers - len(parts) + 1))


def read_defaults(family: str, settings: Path, *, stated_px: int = 0) -> Defaults:
    """Return what a family is usually painted with, at the size that the file (`stated_px`) or the folder `settings`
    says."""
    usual = FAMILIES[family].defaults
    if (known := FAMILIES[family].by_distilled) and (other := known.get(_is_distilled(settings))) is not None:
        usual = replace(usual, steps=other[0], guidance=other[1])
    if usual.embeds_guidance and not _embeds_guidance(settings / FAMILIES[family].denoiser):
        usual = replace(usual, steps=4, guidance=1.0, embeds_guidance=False)
    native_px = stated_px or unet_setting(settings, "sample_size") * PX_PER_CELL
    return replace(usual, native_px=native_px) if native_px in NATIVE_PX else usual


def _is_distilled(folder: Path) -> bool | None:
    """Return what a model says of itself; None if it says nothing."""
    try:
        said = read_json(folder / "model_index.json").get("is_distilled")
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, bool) else None


def _embeds_guidance(denoiser: Path) -> bool:
    """Return whether a transformer reads guidance as a number."""
    try:
        return bool(read_json(denoiser / "config.json").get("guidance_embeds"))
    except (OSError, ValueError, RecursionError):
        return True


def _read_setting(part: Path, name: str) -> int:
    try:
        value = read_json(part / "config.json").get(name)
    except (OSError, ValueError, RecursionError):
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def stated_px(metadata: Mapping[str, str]) -> int:
    """Return the side, in pixels, of the pictures that a file's metadata says it was trained on; 0 if it does not."""
    found = re.fullmatch(r"(\d{3,4})x(\d{3,4})", metadata.get("modelspec.resolution", "").strip().lower())
    if found is None:
        return 0
    side_px = round(math.sqrt(int(found[1]) * int(found[2])) / 64) * 64
    return side_px if side_px in NATIVE_PX else 0


def _describe_folder(path: Path) -> Description:
    if (path / "model_index.json").is_file() or (path / MODULAR_INDEX).is_file():
        return Description(Kind.MODEL, detect_family(path), read_context_width(path))
    try:
        settings: dict[str, Any] = read_json(path / "config.json")
    except (OSError, ValueError, RecursionError):
        files = sorted(file.name for file in path.glob("*.safetensors"))
        hint = f"; name the file itself: {path / files[0]}" if len(files) == 1 else ""
        raise ValueError(f"has neither a model_index.json nor a config.json that can be read{hint}") from None
    if settings.get("architectures") == [CHECKER_CLASS]:
        return Description(Kind.CHECKER)
    if is_image_encoder(settings):
        return Description(Kind.IMAGE_ENCODER)
    name = settings.get("_class_name")
    if (control := describe_control_folder(settings)) is not None:
        return Description.of_control(control)
    if find_text_kind(settings):
        require_plain_settings("text encoder", settings)
        return Description(Kind.TEXT_ENCODER)
    if name not in VAE_CLASSES:
        raise ValueError(
            f"is a part of a model; of parts only a VAE ({', '.join(VAE_CLASSES)}), a ControlNet"
            f" ({', '.join(CLASSES)}), a text encoder ({list_text_kinds()}), an image encoder ({ENCODER_CLASS}) and a"
            f" safety checker ({CHECKER_CLASS}) can be used by themselves"
        )
    require_latents(settings.get("latent_channels", settings.get("z_dim", LATENT_CHANNELS)))
    return Description(Kind.VAE)


def _describe_tensors(tensors: Tensors, hint: str) -> Description:
    shapes = tensors.shapes
    require_known(shapes, tensors.metadata)
    if is_ip_adapter(shapes):
        layout = read_ip_adapter(shapes)
        return Description(Kind.IP_ADAPTER, layout.family, layout.context_width, tensors.metadata)
    if family := transformer_file.find_family(shapes, hint):
        return Description(Kind.MODEL, family, metadata=tensors.metadata)
    if (control := describe_control_file(shapes)) is not None:
        return Description.of_control(control, tensors.metadata)
    if checkpoint.is_checkpoint(shapes):
        width = checkpoint.context_width(shapes)
        return Description(Kind.MODEL, checkpoint.family_of(shapes), width, tensors.metadata)
    if is_lora(shapes):
        return _describe_lora(tensors)
    for prefix in _VAE_PREFIXES:
        if all(f"{prefix}{name}" in shapes for name in _VAE_PARTS):
            if len(shape := shapes[f"{prefix}decoder.conv_in.weight"]) != 4 and not film_vae.is_film_vae(shapes):
                raise ValueError("is a VAE of films, which cannot be used here")
            require_latents(shape[1:2])
            return Description(Kind.VAE, metadata=tensors.metadata)
    if film_vae.is_film_vae(shapes):
        require_latents(next((shapes[name][1] for name in film_vae.FIRST if name in shapes), 0))
        return Description(Kind.VAE, metadata=tensors.metadata)
    if is_upscaler(shapes):
        return Description(Kind.UPSCALER, metadata=tensors.metadata, scale=read_layout(shapes).scale)
    if is_text_encoder(tensors):
        return Description(Kind.TEXT_ENCODER, metadata=tensors.metadata)
    if other := checkpoint.other_kind(shapes):
        raise ValueError(f"is {other}, which cannot be used here")
    words = word_tensors(shapes)
    if words:
        width = sum(shapes[name][-1] for name in words)
        return Description(Kind.EMBEDDING, context_width=width, metadata=tensors.metadata)
    raise ValueError(
        "is no checkpoint, LoRA, textual inversion, VAE, text encoder, ControlNet, IP-Adapter or upscaler that is known"
        " here"
    )


def _describe_gguf(tensors: Tensors, hint: str) -> Description:
    if family := transformer_file.find_family(tensors.shapes, hint):
        return Description(Kind.MODEL, family, metadata=tensors.metadata)
    if is_text_encoder(tensors):
        return Description(Kind.TEXT_ENCODER, metadata=tensors.metadata)
    raise ValueError("is a GGUF file of another model than those that are run here")


def _describe_lora(tensors: Tensors) -> Description:
    read = read_names(tensors.shapes)
    check_settings(read_settings(tensors.metadata), read)
    ignored = any(is_ignored(name) for name in tensors.shapes)
    note = "The textual inversion in it is not used: words need a file of their own." if ignored else ""
    family, width = find_family(tensors.shapes, read, tensors.metadata), context_width(tensors.shapes, read)
    return Description(Kind.LORA, family, width, tensors.metadata, note=note)


def require_latents(channels: object) -> None:
    """Raise `ValueError` unless a VAE has as many latent channels as a model that is run."""
    number = channels[0] if isinstance(channels, tuple) and channels else channels
    if number not in (known := {family.latent_channels for family in FAMILIES.values()}):
        raise ValueError(
            f"is a VAE of {number} latent channels, and those of models that are run here have"
            f" {', '.join(map(str, sorted(known)))}"
        )
