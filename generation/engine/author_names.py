"""Renames the weights of FLUX.1, Chroma and Stable Diffusion 3.5 in one file from their authors' names to those of
diffusers, row by row: what the authors join is cut, and what diffusers turns round is turned.

The converters of diffusers ask for every weight, and for the width of the full size. Scales are of some layers only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class _Names(NamedTuple):
    renamed: tuple[tuple[str, str], ...]
    joined: Mapping[str, tuple[str, ...]]
    """What one layer of the authors is in diffusers, from its first row to its last."""


_PICTURE, _WORDS = ("attn.to_q", "attn.to_k", "attn.to_v"), ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_FINAL = (
    (r"^final_layer\.linear\.", "proj_out."),
    (r"^final_layer\.adaLN_modulation\.1\.", "norm_out.linear."),
)
_FLUX = _Names(
    (
        *_FINAL,
        (r"^time_in\.", "time_text_embed.timestep_embedder."),
        (r"^vector_in\.", "time_text_embed.text_embedder."),
        (r"^guidance_in\.", "time_text_embed.guidance_embedder."),
        (r"\.in_layer\.", ".linear_1."),
        (r"\.out_layer\.", ".linear_2."),
        (r"^img_in\.", "x_embedder."),
        (r"^txt_in\.", "context_embedder."),
        (r"^distilled_guidance_layer\.norms\.(\d+)\.scale$", r"distilled_guidance_layer.norms.\1.weight"),
        (r"^double_blocks\.", "transformer_blocks."),
        (r"^single_blocks\.", "single_transformer_blocks."),
        (r"\.img_mod\.lin\.", ".norm1.linear."),
        (r"\.txt_mod\.lin\.", ".norm1_context.linear."),
        (r"\.modulation\.lin\.", ".norm.linear."),
        (r"\.txt_attn\.norm\.(query|key)_norm\.(scale|weight)$", r".attn.norm_added_\1.weight"),
        (r"\.(?:img_attn\.)?norm\.(query|key)_norm\.(scale|weight)$", r".attn.norm_\1.weight"),
        (r"(norm_(?:added_)?)query\.", r"\1q."),
        (r"(norm_(?:added_)?)key\.", r"\1k."),
        (r"\.img_attn\.proj\.", ".attn.to_out.0."),
        (r"\.txt_attn\.proj\.", ".attn.to_add_out."),
        (r"\.img_mlp\.0\.", ".ff.net.0.proj."),
        (r"\.img_mlp\.2\.", ".ff.net.2."),
        (r"\.txt_mlp\.0\.", ".ff_context.net.0.proj."),
        (r"\.txt_mlp\.2\.", ".ff_context.net.2."),
        (r"\.linear2\.", ".proj_out."),
    ),
    {"img_attn.qkv": _PICTURE, "txt_attn.qkv": _WORDS, "linear1": (*_PICTURE, "proj_mlp")},
)
_SD3 = _Names(
    (
        *_FINAL,
        (r"^pos_embed$", "pos_embed.pos_embed"),
        (r"^x_embedder\.proj\.", "pos_embed.proj."),
        (r"^t_embedder\.", "time_text_embed.timestep_embedder."),
        (r"^y_embedder\.", "time_text_embed.text_embedder."),
        (r"_embedder\.mlp\.0\.", "_embedder.linear_1."),
        (r"_embedder\.mlp\.2\.", "_embedder.linear_2."),
        (r"^joint_blocks\.", "transformer_blocks."),
        (r"\.context_block\.attn\.proj\.", ".attn.to_add_out."),
        (r"\.context_block\.attn\.ln_([qk])\.", r".attn.norm_added_\1."),
        (r"\.context_block\.adaLN_modulation\.1\.", ".norm1_context.linear."),
        (r"\.context_block\.mlp\.fc1\.", ".ff_context.net.0.proj."),
        (r"\.context_block\.mlp\.fc2\.", ".ff_context.net.2."),
        (r"\.x_block\.(attn2?)\.proj\.", r".\1.to_out.0."),
        (r"\.x_block\.(attn2?)\.ln_([qk])\.", r".\1.norm_\2."),
        (r"\.x_block\.adaLN_modulation\.1\.", ".norm1.linear."),
        (r"\.x_block\.mlp\.fc1\.", ".ff.net.0.proj."),
        (r"\.x_block\.mlp\.fc2\.", ".ff.net.2."),
    ),
    {
        "x_block.attn.qkv": _PICTURE,
        "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
        "context_block.attn.qkv": _WORDS,
    },
)
BY_CLASS: Mapping[str, _Names] = {
    "FluxTransformer2DModel": _FLUX,
    "ChromaTransformer2DModel": _FLUX,
    "SD3Transformer2DModel": _SD3,
}
"""By the class of diffusers whose files are renamed here."""
_TURNED = re.compile(r"(norm_out|norm1_context)\.linear\.\w+$")
"""Layers whose rows are shift, then scale, with the authors, and scale, then shift, in diffusers: the last ones, which
have those two alone."""


def rename(cls_name: str, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    """Return weights, or scales of rows, under the names of diffusers. `width`: the rows of each of Q, K and V."""
    names, found = BY_CLASS[cls_name], dict[str, Tensor]()
    for theirs, tensor in tensors.items():
        name = _rename_one(theirs, names)
        joined = next((part for part in names.joined if f".{part}." in name), "")
        if not joined:
            found[name] = _turn(tensor) if _TURNED.search(name) and len(tensor) == 2 * width else tensor
            continue
        parts = names.joined[joined]
        sizes = [width] * 3 + ([len(tensor) - 3 * width] if len(parts) > 3 else [])
        for part, rows in zip(parts, torch.split(tensor, sizes), strict=True):
            found[name.replace(f".{joined}.", f".{part}.")] = rows
    return found


def _rename_one(name: str, names: _Names) -> str:
    for theirs, ours in names.renamed:
        name = re.sub(theirs, ours, name)
    return name


def _turn(rows: Tensor) -> Tensor:
    shift, scale = rows.chunk(2)
    return torch.cat([scale, shift])
