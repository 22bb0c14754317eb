"""T5 and CLIP text encoders by themselves, with which FLUX.1, Chroma and Stable Diffusion 3.5 read: what a file of them
is, and the settings that it lacks. No torch.

Files have the names of transformers, as ComfyUI keeps them in `text_encoders`, and T5 those of llama.cpp in GGUF too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.clip_settings import derive_clip_text, is_big_clip

T5, CLIP = "t5", "clip_text_model"
"""As `model_type` of their settings has them."""
TITLES: Mapping[str, str] = {T5: "T5", CLIP: "CLIP"}
_T = TypeVar("_T")
_WORDS, _EMBEDDED = "shared.weight", "encoder.embed_tokens.weight"
_FIRST = "encoder.block.0."
_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"
_T5_NAME = re.compile(r"(shared|encoder\.(block|final_layer_norm|embed_tokens))\.")
_CLIP_NAME = re.compile(r"text_model\.(encoder|embeddings|final_layer_norm)\.")
_IN_GGUF = re.compile(r"enc\.blk\.(\d+)\.(\w+)(\.\w+)")
_OUTSIDE = {"token_embd.weight": _WORDS, "enc.output_norm.weight": "encoder.final_layer_norm.weight"}
_IN_LAYER = {
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_REMEDY = "Look for a whole copy of it."


def tell_text(shapes: Shapes) -> str:
    """Return `T5` or `CLIP` for a file of such a text encoder, and empty for another. Raise `IncompatibleFileError` for
    one that is not whole, or of a kind that is not read."""
    kind = T5 if any(_is_of_t5(name) for name in shapes) else ""
    kind = kind or (CLIP if any(_CLIP_NAME.match(name) for name in shapes) else "")
    if kind:
        _require_whole(kind, shapes)
    return kind


def name_text(tensors: Mapping[str, _T], kind: str) -> dict[str, _T]:
    """Return a text encoder's tensors by the names of transformers; those of other things that lie beside it too."""
    if kind != T5:
        return dict(tensors)
    named = {_name_one(name): each for name, each in tensors.items()}
    if _EMBEDDED in named:  # one table under two names, or under this alone
        named.setdefault(_WORDS, named[_EMBEDDED])
    return named


def derive_text(shapes: Shapes, kind: str) -> Mapping[str, Any]:
    """Return the settings of a text encoder in one file. Raise `IncompatibleFileError` if its shapes are unknown."""
    derive: Callable[[Shapes], Mapping[str, Any]] = _derive_t5 if kind == T5 else derive_clip_text
    try:
        return derive(name_text(shapes, kind))
    except (LookupError, ValueError, ZeroDivisionError) as error:
        problem = f"has names or shapes that no {TITLES[kind]} has ({str(error)[:80]})"
        raise IncompatibleFileError(problem, _REMEDY) from None


def _is_of_t5(name: str) -> bool:
    return _T5_NAME.match(name) is not None or name.startswith("enc.blk.")


def _name_one(name: str) -> str:
    found = _IN_GGUF.fullmatch(name)
    if found is None or found[2] not in _IN_LAYER:
        return _OUTSIDE.get(name, name)
    return f"encoder.block.{found[1]}.{_IN_LAYER[found[2]]}{found[3]}"


def _derive_t5(shapes: Shapes) -> Mapping[str, Any]:
    words, width = shapes[_WORDS]
    buckets, heads = shapes[f"{_FIRST}{_BIAS}"]
    return {
        "architectures": ["T5EncoderModel"],
        "model_type": T5,
        "vocab_size": words,
        "d_model": width,
        "d_kv": shapes[f"{_FIRST}layer.0.SelfAttention.q.weight"][0] // heads,
        "d_ff": shapes[f"{_FIRST}layer.1.DenseReluDense.wi_0.weight"][0],
        "num_layers": _count(shapes, "encoder.block."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": False,
        "tie_word_embeddings": False,
    }


def _require_whole(kind: str, shapes: Shapes) -> None:
    """Raise `IncompatibleFileError` unless all weights are there, in the sizes that the others say."""
    named, settings = name_text(shapes, kind), derive_text(shapes, kind)
    if kind == T5 and f"encoder.block.1.{_BIAS}" in named:
        raise IncompatibleFileError("is a UMT5, which no model that is run here reads with", _REMEDY)
    wanted = _list_t5(settings) if kind == T5 else _list_clip(settings)
    title = TITLES[kind]
    if missing := sorted(wanted.keys() - named.keys()):
        raise IncompatibleFileError(f"lacks {len(missing)} weights of a {title}, among them {missing[0]}", _REMEDY)
    for name, shape in wanted.items():
        if named[name] != shape:
            raise IncompatibleFileError(f"has a {name} of {named[name]}, where {shape} fits its other weights", _REMEDY)


def _list_t5(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner, heads = settings["d_model"], settings["d_ff"], settings["num_heads"]
    asked = heads * settings["d_kv"]
    layer = {
        **{f"layer.0.SelfAttention.{part}.weight": (asked, width) for part in "qkv"},
        "layer.0.SelfAttention.o.weight": (width, asked),
        "layer.0.layer_norm.weight": (width,),
        "layer.1.DenseReluDense.wi_0.weight": (inner, width),
        "layer.1.DenseReluDense.wi_1.weight": (inner, width),
        "layer.1.DenseReluDense.wo.weight": (width, inner),
        "layer.1.layer_norm.weight": (width,),
    }
    blocks = range(settings["num_layers"])
    inside = {f"encoder.block.{index}.{part}": shape for index in blocks for part, shape in layer.items()}
    return {**inside, "encoder.final_layer_norm.weight": (width,)}


def _list_clip(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner = settings["hidden_size"], settings["intermediate_size"]
    sizes = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
    sizes |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
    layer: dict[str, tuple[int, ...]] = {}
    for part, shape in sizes.items():
        layer |= {f"{part}.weight": shape, f"{part}.bias": shape[:1]}
    norms = {f"{part}.{last}": (width,) for part in ("layer_norm1", "layer_norm2") for last in ("weight", "bias")}
    wanted: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.position_embedding.weight": (settings["max_position_embeddings"], width),
        "text_model.final_layer_norm.weight": (width,),
        "text_model.final_layer_norm.bias": (width,),
    }
    if is_big_clip(settings):
        wanted["text_projection.weight"] = (settings["projection_dim"], width)
    for index in range(settings["num_hidden_layers"]):
        wanted |= {f"text_model.encoder.layers.{index}.{part}": shape for part, shape in {**layer, **norms}.items()}
    return wanted


def _count(shapes: Shapes, prefix: str) -> int:
    numbers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return max(int(number) for number in numbers if number.isdecimal()) + 1
