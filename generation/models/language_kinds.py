"""The language models that read prompts, as facts: how a file of each is told, and what no shape tells. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.language_names import FIRST, WORDS, name_as_transformers, require_whole
from generation.models.safetensors_header import Tensors

_ARCHITECTURE = "general.architecture"
"""Where GGUF says what a model is."""
_IN_GGUF = re.compile(r"(\w+\.)*blk\.\d+\.")
_SEES = re.compile(r"(^|\.)visual\.")
"""What the half of a model is called that sees pictures."""
_STATED = {"attention.layer_norm_rms_epsilon": "rms_norm_eps", "rope.freq_base": "rope_theta"}
"""Numbers that no shape tells, by their names in GGUF."""


_ORDER = (
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_parameters",
    "attention_bias",
    "tie_word_embeddings",
)
"""Of settings as they are written: another order would be other settings in a recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageKind:
    """One kind of language model."""

    name: str
    """As `model_type` of its settings has it, without `_text`."""
    title: str
    of: str
    """The models that people know it by."""
    architecture: str
    """As GGUF has it."""
    has_head_norms: bool = False
    has_biases: bool = False
    """Of what it asks, keeps and gives."""
    head_width: int = 128
    """Where no norm tells."""
    usual: Mapping[str, float]
    """The numbers of `_STATED` where a file does not say."""
    settings: Mapping[str, Any]
    """The others that no shape tells."""
    in_files: bool = True
    """Whether it is read from a file by itself too: some look like models of other kinds."""
    sees: bool = False
    """Whether a file of it may hold the half that sees pictures, which is not read."""
    rope: Mapping[str, Any] | None = None
    """How places are turned, beside `rope_theta`; None where that stands by itself."""


_PLAIN = {"hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": True}
_QWEN3 = LanguageKind(
    name="qwen3",
    title="Qwen3",
    of="Z-Image and FLUX.2 klein",
    architecture="qwen3",
    has_head_norms=True,
    usual={"rms_norm_eps": 1e-6, "rope_theta": 1_000_000},
    settings={"architectures": ["Qwen3Model"], "model_type": "qwen3", "max_position_embeddings": 40960, **_PLAIN},
)
_QWEN2_5_VL = LanguageKind(
    name="qwen2_5_vl",
    title="Qwen2.5-VL",
    of="Qwen-Image",
    architecture="qwen2vl",
    has_biases=True,
    sees=True,
    usual={"rms_norm_eps": 1e-6, "rope_theta": 1_000_000},
    settings={
        "architectures": ["Qwen2_5_VLTextModel"],
        "model_type": "qwen2_5_vl_text",
        "max_position_embeddings": 128000,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    },
    rope={"rope_type": "default", "mrope_section": [16, 24, 24]},
)
_QWEN3_VL = LanguageKind(
    name="qwen3_vl",
    title="Qwen3-VL",
    of="Krea 2",
    architecture="qwen3vl",
    has_head_norms=True,
    sees=True,
    usual={"rms_norm_eps": 1e-6, "rope_theta": 5_000_000},
    settings={
        "architectures": ["Qwen3VLTextModel"],
        "model_type": "qwen3_vl_text",
        "max_position_embeddings": 262144,
        **_PLAIN,
    },
    rope={"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True},
)
_MINISTRAL3 = LanguageKind(
    name="ministral3",
    title="Ministral 3",
    of="ERNIE-Image",
    architecture="mistral3",
    in_files=False,
    usual={},
    settings={},
)
_TABLE = (_QWEN3, _QWEN2_5_VL, _QWEN3_VL, _MINISTRAL3)
LANGUAGES: Mapping[str, LanguageKind] = MappingProxyType({kind.name: kind for kind in _TABLE})
"""Every kind by its name."""


def find_language(model_type: object) -> LanguageKind | None:
    """Return the kind that settings name; None for another model, or none."""
    return LANGUAGES.get(model_type.removesuffix("_text")) if isinstance(model_type, str) else None


def list_languages() -> str:
    """Return the kinds that are read, and what they are of, for a message."""
    return ", ".join(f"{kind.title} (of {kind.of})" for kind in _TABLE if kind.in_files)


def tell_language(tensors: Tensors) -> LanguageKind | None:
    """Return the kind of a file; None for a file that is no language model.

    Raise `IncompatibleFileError` for one of another kind.
    """
    if any(_IN_GGUF.match(name) for name in tensors.shapes):
        architecture = tensors.metadata.get(_ARCHITECTURE, _QWEN3.architecture)
        kind = next((each for each in _TABLE if each.in_files and each.architecture == architecture), None)
        if kind is None:
            raise _refuse(f"is a model of the architecture {architecture[:40]!r} in GGUF")
        return kind
    named = name_as_transformers(tensors.shapes)
    has_norms, has_biases = (f"{FIRST}self_attn.{part}" in named for part in ("q_norm.weight", "q_proj.bias"))
    sees = any(_SEES.search(name) for name in tensors.shapes)
    if WORDS not in named and not has_norms:
        if sees:
            raise _refuse("is the half of a text encoder that sees pictures")
        return None
    for kind in (each for each in _TABLE if each.in_files):
        if (kind.has_head_norms, kind.has_biases) == (has_norms, has_biases) and sees <= kind.sees:
            return kind
    raise _refuse("is a language model of another kind than those that are read")


def derive_language(tensors: Tensors) -> Mapping[str, Any]:
    """Return the settings of a language model in one file. Raise `IncompatibleFileError` if its shapes are unknown."""
    kind = tell_language(tensors)
    if kind is None:
        raise _refuse("is no language model")
    shapes = name_as_transformers(tensors.shapes)
    try:
        found = {**kind.settings, **_read_sizes(kind, shapes), **_read_numbers(kind, tensors)}
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no {kind.title} has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, "Look for a whole copy of it.") from None
    return {name: found[name] for name in _ORDER if name in found}


def require_language(tensors: Tensors) -> LanguageKind | None:
    """Return the kind of a file that is whole; None for a file that is no language model.

    Raise `IncompatibleFileError` as `tell_language` does, and for one that lacks weights.
    """
    kind = tell_language(tensors)
    if kind is not None:
        require_whole(name_as_transformers(tensors.shapes), derive_language(tensors), kind.title)
    return kind


def _read_sizes(kind: LanguageKind, shapes: Shapes) -> Mapping[str, Any]:
    words, width = shapes[WORDS]
    (head,) = shapes[f"{FIRST}self_attn.q_norm.weight"] if kind.has_head_norms else (kind.head_width,)
    asked, kept = (shapes[f"{FIRST}self_attn.{part}_proj.weight"][0] // head for part in "qk")
    numbers = (re.match(r"layers\.(\d{1,4})\.", name) for name in shapes)
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes[f"{FIRST}mlp.gate_proj.weight"][0],
        "num_hidden_layers": max(int(found[1]) for found in numbers if found) + 1,
        "num_attention_heads": asked,
        "num_key_value_heads": kept,
        "head_dim": head,
    }


def _read_numbers(kind: LanguageKind, tensors: Tensors) -> Mapping[str, Any]:
    """Return what a file states, or what is usual, of small numbers that no shape tells."""
    stated = {
        ours: float(tensors.metadata.get(f"{kind.architecture}.{name}", kind.usual[ours]))
        for name, ours in _STATED.items()
    }
    epsilon, theta = stated["rms_norm_eps"], stated["rope_theta"]
    if not (0 < epsilon < 1 <= theta < math.inf):
        raise ValueError(f"an epsilon of {epsilon} and a base of {theta}")
    if kind.rope is None:
        return stated
    return {"rms_norm_eps": epsilon, "rope_parameters": {**kind.rope, "rope_theta": theta}}


def _refuse(problem: str) -> IncompatibleFileError:
    return IncompatibleFileError(problem, f"Of language models by themselves, these are read: {list_languages()}.")
