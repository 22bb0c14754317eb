"""Text encoders and VAE by themselves: what a file of them is, and the settings that it lacks. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from generation.models.checkpoint import LATENT_CHANNELS, IncompatibleFileError
from generation.models.film_vae import CLASS as FILM_VAE
from generation.models.film_vae import FIRST as FILM_FIRST
from generation.models.film_vae import derive_film_vae, is_film_vae
from generation.models.json_file import read_json
from generation.models.language_kinds import derive_language, list_languages, require_language
from generation.models.safetensors_header import Tensors, read_tensors

_OTHER_TEXT = (
    (r"^(encoder|shared)\..*(SelfAttention|DenseReluDense)", "a T5 text encoder"),
    (r"(^|\.)text_model\.(encoder|embeddings)\.", "a CLIP text encoder"),
)
WORD_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
_VAE_BLOCK = re.compile(r"encoder\.down(?:\.(\d+)\.block|_blocks\.(\d+)\.resnets)\.(\d+)\.conv1\.weight")
_VAE_KINDS: Mapping[int, Mapping[str, Any]] = {
    16: {"_class_name": "AutoencoderKL", "scaling_factor": 0.3611, "shift_factor": 0.1159, "force_upcast": True},
    32: {"_class_name": "AutoencoderKLFlux2", "batch_norm_eps": 1e-4, "batch_norm_momentum": 0.1, "patch_size": [2, 2]},
}
"""What no shape of a VAE tells, by its latent channels: that of FLUX.1 and Z-Image, and that of FLUX.2."""


def is_text_encoder(tensors: Tensors) -> bool:
    """Return whether a file is a language model. Raise `IncompatibleFileError` for another text encoder, saying which,
    and for one that is not whole."""
    other = (what for pattern, what in _OTHER_TEXT if any(re.search(pattern, name) for name in tensors.shapes))
    if what := next(other, ""):
        remedy = f"Of text encoders by themselves, these are read here: {list_languages()}."
        raise IncompatibleFileError(f"is {what}, which cannot be used by itself", remedy)
    return require_language(tensors) is not None


def read_text_settings(part: Path) -> Mapping[str, Any]:
    """Return the settings of a text encoder: a folder's own, or those that a file's header tells."""
    if part.is_file():
        return derive_language(read_tensors(part))
    settings = read_json(part / "config.json")
    inner = settings.get("text_config")
    return inner if isinstance(inner, dict) else settings


def read_vae_settings(part: Path) -> Mapping[str, Any]:
    """Return the settings of a VAE: a folder's own, or those that a file's shapes tell."""
    if part.is_dir():
        return read_json(part / "config.json")
    shapes = {name.removeprefix("first_stage_model."): shape for name, shape in read_tensors(part).shapes.items()}
    if is_film_vae(shapes):
        return derive_film_vae(shapes)
    blocks = [(found, shape) for name, shape in shapes.items() if (found := _VAE_BLOCK.fullmatch(name))]
    widths = {int(found[1] or found[2]): shape[0] for found, shape in blocks}
    channels = shapes["decoder.conv_in.weight"][1]
    if not widths or channels not in _VAE_KINDS:
        raise IncompatibleFileError(f"is a VAE of {channels} latent channels that is not known by itself")
    return {
        **_VAE_KINDS[channels],
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": channels,
        "block_out_channels": [widths[level] for level in sorted(widths)],
        "layers_per_block": max(int(found[3]) for found, _ in blocks) + 1,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "norm_num_groups": 32,
        "sample_size": 1024,
        "use_quant_conv": any(re.search(r"(^|\.)quant_conv\.", name) for name in shapes),
        "use_post_quant_conv": any("post_quant_conv." in name for name in shapes),
    }


def find_vae_class(vae: Path) -> str:
    """Return the class of diffusers that a VAE is of; empty where it does not say."""
    if vae.is_dir():
        return str(read_json(vae / "config.json").get("_class_name", ""))
    if is_film_vae(read_tensors(vae).shapes):
        return FILM_VAE
    return str(_VAE_KINDS.get(count_latent_channels(vae), {}).get("_class_name", ""))


def count_latent_channels(vae: Path) -> int:
    """Return the channels of the latents that a VAE decodes; 0 where it does not say."""
    if vae.is_dir():
        settings = read_json(vae / "config.json")
        channels = settings.get("latent_channels", settings.get("z_dim", LATENT_CHANNELS))
        return channels if isinstance(channels, int) else 0
    shapes = read_tensors(vae).shapes
    return next((shape[1] for name, shape in shapes.items() if name.endswith(FILM_FIRST)), 0)


def find_words(part: Path, named: Path | None = None) -> Path | None:
    """Return the folder with the word list of a text encoder: the one named, its own, or the one beside it."""
    places = (named, named / "tokenizer") if named is not None else (part, part.parent / "tokenizer")
    folders = (place for place in places if place is not None and place.is_dir())
    return next((place for place in folders if has_words(read_words(place))), None)


def read_words(folder: Path) -> Mapping[str, bytes]:
    """Return the files of a tokenizer by their name."""
    return {name: (folder / name).read_bytes() for name in WORD_FILES if (folder / name).is_file()}


def has_words(names: Collection[str]) -> bool:
    """Return whether files of these names hold a word list."""
    return "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= set(names)
