"""What the weights of a language model are called, and which it needs. No torch.

Two sets of names are read: those of transformers (with or without `model.`, as ComfyUI keeps them), and those that
llama.cpp gives them in GGUF. Neither turns or joins a tensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from generation.models.checkpoint import IncompatibleFileError, Shapes

WORDS, FIRST = "embed_tokens.weight", "layers.0."
_T = TypeVar("_T")
_IN_GGUF = re.compile(r"(?:blk\.(\d+)\.)?(\w+)(\.\w+)")
_OUTSIDE = {"token_embd": "embed_tokens", "output_norm": "norm"}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def name_as_transformers(tensors: Mapping[str, _T]) -> dict[str, _T]:
    """Return a language model's tensors by the names that its class in transformers has. Others keep theirs."""
    if any(name.startswith("blk.") for name in tensors):
        return {_name_one(name): each for name, each in tensors.items()}
    prefix = next((name.removesuffix(WORDS) for name in tensors if re.fullmatch(rf"(\w+\.)*{WORDS}", name)), "")
    return {name.removeprefix(prefix): each for name, each in tensors.items()}


def _name_one(name: str) -> str:
    found = _IN_GGUF.fullmatch(name)
    if found is None:
        return name
    layer, part, rest = found.groups()
    named = (_OUTSIDE if layer is None else _IN_LAYER).get(part)
    if named is None:
        return name
    return f"{named}{rest}" if layer is None else f"layers.{layer}.{named}{rest}"


def require_whole(named: Shapes, settings: Mapping[str, Any], title: str) -> None:
    """Raise `IncompatibleFileError` unless all weights of a language model are there, in the sizes that its settings
    say. Norms of heads, and biases, are asked for where the first layer has them."""
    width, inner, head = (settings[name] for name in ("hidden_size", "intermediate_size", "head_dim"))
    asked, kept = (head * settings[f"num_{name}_heads"] for name in ("attention", "key_value"))
    layer = {
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
        "self_attn.q_proj": (asked, width),
        "self_attn.k_proj": (kept, width),
        "self_attn.v_proj": (kept, width),
        "self_attn.o_proj": (width, asked),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    weights = {f"{part}.weight": shape for part, shape in layer.items()}
    if f"{FIRST}self_attn.q_norm.weight" in named:
        weights |= dict.fromkeys(("self_attn.q_norm.weight", "self_attn.k_norm.weight"), (head,))
    if f"{FIRST}self_attn.q_proj.bias" in named:
        weights |= {f"self_attn.{part}_proj.bias": (size,) for part, size in (("q", asked), ("k", kept), ("v", kept))}
    wanted: dict[str, tuple[int, ...]] = {WORDS: (settings["vocab_size"], width), "norm.weight": (width,)}
    for index in range(settings["num_hidden_layers"]):
        wanted |= {f"layers.{index}.{part}": shape for part, shape in weights.items()}
    if missing := sorted(wanted.keys() - named.keys()):
        raise IncompatibleFileError(f"lacks {len(missing)} weights of a {title}, among them {missing[0]}", _WHOLE)
    for name, shape in wanted.items():
        if named[name] != shape:
            raise IncompatibleFileError(f"has a {name} of {named[name]}, where {shape} fits its other weights", _WHOLE)


_WHOLE = "Look for a whole copy of it."
