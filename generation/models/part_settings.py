"""Text encoders and VAE by themselves: what a file of them is, and the settings that it lacks. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from generation.models.checkpoint import LATENT_CHANNELS, IncompatibleFileError
from generation.models.json_file import read_json
from generation.models.language_names import FIRST, WORDS, name_as_transformers, require_whole
from generation.models.safetensors_header import Tensors, read_tensors

LANGUAGE, _ARCHITECTURE = "qwen3", "general.architecture"
"""What settings and GGUF call it, and where GGUF says so."""
_STATED = {"attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 1_000_000}
"""Numbers that no shape tells, by their names in GGUF, and what they are in other files."""
_OTHER_TEXT = (
    (r"(^|\.)visual\.", "a text encoder that sees pictures (Qwen-VL)"),
    (r"^(encoder|shared)\..*(SelfAttention|DenseReluDense)", "a T5 text encoder"),
    (r"(^|\.)text_model\.(encoder|embeddings)\.", "a CLIP text encoder"),
)
_TEXT_REMEDY = "Of text encoders by themselves, Qwen3 is read here: that of Z-Image and FLUX.2 klein."
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
    """Return whether a file is a Qwen3. Raise `IncompatibleFileError` for another text encoder, saying which, and for
    one that is not whole."""
    other = (what for pattern, what in _OTHER_TEXT if any(re.search(pattern, name) for name in tensors.shapes))
    if what := next(other, ""):
        raise IncompatibleFileError(f"is {what}, which cannot be used by itself", _TEXT_REMEDY)
    architecture = tensors.metadata.get(_ARCHITECTURE, LANGUAGE)
    if architecture != LANGUAGE and any(re.match(r"(\w+\.)*blk\.\d+\.", name) for name in tensors.shapes):
        problem = f"is a model of the architecture {architecture[:40]!r} in GGUF, not a Qwen3"
        raise IncompatibleFileError(problem, _TEXT_REMEDY)
    named = name_as_transformers(tensors.shapes)
    has_norm = f"{FIRST}self_attn.q_norm.weight" in named
    if WORDS not in named and not has_norm:
        return False
    if not has_norm:
        raise IncompatibleFileError("is a language model of another kind than Qwen3", _TEXT_REMEDY)
    require_whole(named, _derive_text(tensors))
    return True


def read_text_settings(part: Path) -> Mapping[str, Any]:
    """Return the settings of a text encoder: a folder's own, or those that a file's header tells."""
    return read_json(part / "config.json") if part.is_dir() else _derive_text(read_tensors(part))


def _derive_text(tensors: Tensors) -> Mapping[str, Any]:
    shapes = name_as_transformers(tensors.shapes)
    numbers = (re.match(r"layers\.(\d{1,4})\.", name) for name in shapes)
    try:
        (head,), (words, width) = shapes[f"{FIRST}self_attn.q_norm.weight"], shapes[WORDS]
        asked, kept = (shapes[f"{FIRST}self_attn.{part}_proj.weight"][0] // head for part in "qk")
        inner = shapes[f"{FIRST}mlp.gate_proj.weight"][0]
        epsilon, theta = (float(tensors.metadata.get(f"{LANGUAGE}.{name}", usual)) for name, usual in _STATED.items())
        if not (0 < epsilon < 1 <= theta < math.inf):
            raise ValueError(f"an epsilon of {epsilon} and a base of {theta}")
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no Qwen3 has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Look for a whole copy of it.") from None
    return {
        "architectures": ["Qwen3Model"],
        "model_type": "qwen3",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": max(int(found[1]) for found in numbers if found) + 1,
        "num_attention_heads": asked,
        "num_key_value_heads": kept,
        "head_dim": head,
        "hidden_act": "silu",
        "max_position_embeddings": 40960,
        "rms_norm_eps": epsilon,
        "rope_theta": theta,
        "attention_bias": False,
        "tie_word_embeddings": True,
    }


def read_vae_settings(part: Path) -> Mapping[str, Any]:
    """Return the settings of a VAE: a folder's own, or those that a file's shapes tell."""
    if part.is_dir():
        return read_json(part / "config.json")
    shapes = {name.removeprefix("first_stage_model."): shape for name, shape in read_tensors(part).shapes.items()}
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


def count_latent_channels(vae: Path) -> int:
    """Return the channels of the latents that a VAE decodes; 0 where it does not say."""
    if vae.is_dir():
        channels = read_json(vae / "config.json").get("latent_channels", LATENT_CHANNELS)
        return channels if isinstance(channels, int) else 0
    shapes = read_tensors(vae).shapes
    return next((shape[1] for name, shape in shapes.items() if name.endswith("decoder.conv_in.weight")), 0)


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
