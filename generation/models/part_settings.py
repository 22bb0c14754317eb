"""Text encoders and VAE by themselves: what a file of them is, the settings that it lacks, and word lists. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from generation.models.checkpoint import LATENT_CHANNELS, IncompatibleFileError
from generation.models.film_vae import CLASS as FILM_VAE
from generation.models.film_vae import FIRST as FILM_FIRST
from generation.models.film_vae import derive_film_vae, is_film_vae
from generation.models.json_file import read_json
from generation.models.language_kinds import (
    LANGUAGES,
    derive_language,
    find_language,
    list_languages,
    require_language,
)
from generation.models.safetensors_header import Tensors, read_tensors
from generation.models.text_files import T5, TITLES, derive_text, tell_text

WORD_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
_VAE_BLOCK = re.compile(r"encoder\.down(?:\.(\d+)\.block|_blocks\.(\d+)\.resnets)\.(\d+)\.conv1\.weight")
_VAE_KINDS: Mapping[int, Mapping[str, Any]] = {
    16: {"_class_name": "AutoencoderKL", "scaling_factor": 0.3611, "shift_factor": 0.1159, "force_upcast": True},
    32: {"_class_name": "AutoencoderKLFlux2", "batch_norm_eps": 1e-4, "batch_norm_momentum": 0.1, "patch_size": [2, 2]},
}
"""What no shape of a VAE tells, by its latent channels: that of FLUX.1 and Z-Image, and that of FLUX.2."""


def is_text_encoder(tensors: Tensors) -> bool:
    """Return whether a file is a text encoder. Raise `IncompatibleFileError` for one that is not read here, and for one
    that is not whole."""
    return bool(tell_text(tensors.shapes)) or require_language(tensors) is not None


def find_text_kind(settings: Mapping[str, Any]) -> str:
    """Return the kind of text encoder of these settings: `T5`, `CLIP` or a name of `LANGUAGES`; empty for another."""
    model_type = settings.get("model_type")
    if model_type in TITLES:
        return str(model_type)
    kind = find_language(model_type)
    return kind.name if kind is not None else ""


def title_text_kind(kind: str) -> str:
    """Return what people call a kind of `find_text_kind`."""
    return TITLES[kind] if kind in TITLES else LANGUAGES[kind].title


def list_text_kinds() -> str:
    """Return the kinds that are read from a file, and what they are of, for a message."""
    return f"{list_languages()}, CLIP and T5 (of FLUX.1, Chroma and Stable Diffusion 3.5)"


def read_text_settings(part: Path) -> Mapping[str, Any]:
    """Return the settings of a text encoder: a folder's own, or those that a file's header tells."""
    if part.is_file():
        tensors = read_tensors(part)
        kind = tell_text(tensors.shapes)
        return derive_text(tensors.shapes, kind) if kind else derive_language(tensors)
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


def find_words(part: Path, kind: str, named: Path | None = None) -> Path | None:
    """Return the folder with the word list of a text encoder of that kind: the one named, its own, or the one beside
    it. `named`: that folder, or a model folder."""
    own = part.name.replace("text_encoder", "tokenizer")
    places = (named, *(named / each for each in TOKENIZERS)) if named else (part, part.parent / own)
    fits = has_pieces if kind == T5 else has_words
    return next((place for place in places if place.is_dir() and fits(read_words(place))), None)


def has_pieces(words: Mapping[str, bytes]) -> bool:
    """Return whether the files of a tokenizer hold a word list of T5: pieces, each with how likely it is."""
    try:
        model = msgspec.json.decode(words.get("tokenizer.json", b"{}")).get("model", {})
        return isinstance(model.get("vocab"), list)
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return False


def read_words(folder: Path) -> Mapping[str, bytes]:
    """Return the files of a tokenizer by their name."""
    return {name: (folder / name).read_bytes() for name in WORD_FILES if (folder / name).is_file()}


def has_words(names: Collection[str]) -> bool:
    """Return whether files of these names hold a word list."""
    return "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= set(names)
