"""What LoRA for toys change in each layer by diffusers' name, by the tables of conversion scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.generation.engine.toy_flow_lora import Layers

_DOUBLE, _SINGLE = "transformer_blocks.0", "single_transformer_blocks"


def _three(stem: str, *, added: bool = False) -> tuple[str, ...]:
    return tuple(f"{stem}.add_{each}_proj" if added else f"{stem}.to_{each}" for each in "qkv")


MEANT: Mapping[str, tuple[str, ...]] = {
    "layers.0.attention.qkv": _three("layers.0.attention"),
    "layers.1.attention.out": ("layers.1.attention.to_out.0",),
    "double_blocks.0.img_attn.qkv": _three(f"{_DOUBLE}.attn"),
    "double_blocks.0.txt_attn.qkv": _three(f"{_DOUBLE}.attn", added=True),
    "double_blocks.0.img_attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "double_blocks.0.txt_attn.proj": (f"{_DOUBLE}.attn.to_add_out",),
    "double_blocks.0.img_mod.lin": (f"{_DOUBLE}.norm1.linear",),
    "double_blocks.0.txt_mod.lin": (f"{_DOUBLE}.norm1_context.linear",),
    "single_blocks.1.modulation.lin": (f"{_SINGLE}.1.norm.linear",),
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "distilled_guidance_layer.layers.0.in_layer": ("distilled_guidance_layer.layers.0.linear_1",),
    "joint_blocks.0.x_block.attn.qkv": _three(f"{_DOUBLE}.attn"),
    "joint_blocks.0.x_block.attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "joint_blocks.0.x_block.attn2.qkv": _three(f"{_DOUBLE}.attn2"),
    "joint_blocks.0.x_block.attn2.proj": (f"{_DOUBLE}.attn2.to_out.0",),
    "joint_blocks.1.context_block.attn.qkv": _three("transformer_blocks.1.attn", added=True),
    "joint_blocks.0.context_block.attn.proj": (f"{_DOUBLE}.attn.to_add_out",),
    "joint_blocks.0.x_block.mlp.fc1": (f"{_DOUBLE}.ff.net.0.proj",),
    "joint_blocks.0.context_block.mlp.fc2": (f"{_DOUBLE}.ff_context.net.2",),
    "joint_blocks.0.x_block.adaLN_modulation.1": (f"{_DOUBLE}.norm1.linear",),
    "joint_blocks.0.context_block.adaLN_modulation.1": (f"{_DOUBLE}.norm1_context.linear",),
    "joint_blocks.1.context_block.adaLN_modulation.1": ("transformer_blocks.1.norm1_context.linear",),
    "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
    "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    "blocks.0.attn.wq": (f"{_DOUBLE}.attn.to_q",),
    "blocks.1.attn.wk": ("transformer_blocks.1.attn.to_k",),
    "blocks.0.attn.wo": (f"{_DOUBLE}.attn.to_out.0",),
    "blocks.1.attn.gate": ("transformer_blocks.1.attn.to_gate",),
    "blocks.0.mlp.up": (f"{_DOUBLE}.ff.up",),
    "txtfusion.layerwise_blocks.0.attn.wv": ("text_fusion.layerwise_blocks.0.attn.to_v",),
    "txtfusion.refiner_blocks.0.mlp.gate": ("text_fusion.refiner_blocks.0.ff.gate",),
    "txtfusion.projector": ("text_fusion.projector",),
    "first": ("img_in",),
    "last.linear": ("final_layer.linear",),
    "tmlp.0": ("time_embed.linear_1",),
    "tproj.1": ("time_mod_proj",),
    "txtmlp.3": ("txt_in.linear_2",),
}
"""The layers of each layer of the authors' that is called otherwise, whatever the family."""
_OF_FLUX = {
    "double_blocks.0.txt_mlp.0": (f"{_DOUBLE}.ff_context.net.0.proj",),
    "double_blocks.0.img_mlp.2": (f"{_DOUBLE}.ff.net.2",),
    "single_blocks.0.linear1": (*_three(f"{_SINGLE}.0.attn"), f"{_SINGLE}.0.proj_mlp"),
    "single_blocks.1.linear2": (f"{_SINGLE}.1.proj_out",),
    "final_layer.linear": ("proj_out",),
}
BY_FAMILY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "zimage": {"x_embedder": ("all_x_embedder.2-1",), "final_layer.linear": ("all_final_layer.2-1.linear",)},
    "klein": {
        "double_blocks.0.txt_mlp.0": (f"{_DOUBLE}.ff_context.linear_in",),
        "double_blocks.0.img_mlp.2": (f"{_DOUBLE}.ff.linear_out",),
        "single_blocks.0.linear1": (f"{_SINGLE}.0.attn.to_qkv_mlp_proj",),
        "single_blocks.1.linear2": (f"{_SINGLE}.1.attn.to_out",),
    },
    "flux": _OF_FLUX,
    "chroma": _OF_FLUX,
    "sd3": {"final_layer.linear": ("proj_out",)},
    "qwenimage": {"txt_in": ("txt_in",)},
}
SWAPPED = {"final_layer.adaLN_modulation.1", "joint_blocks.1.context_block.adaLN_modulation.1"}
"""Layers whose two halves the authors have the other way round."""


def changes_by_hand(path: Path, family: str, prefix: str, layers: Layers) -> dict[str, Tensor]:
    """Return what a LoRA adds to each layer by diffusers' name. Its alpha is its rank, so nothing is scaled."""
    tensors, changes = load_file(path), dict[str, Tensor]()
    down, up = ("lora_down", "lora_up") if prefix.endswith("_") else ("lora_A", "lora_B")
    for layer in layers:
        name = prefix + (layer.replace(".", "_") if prefix.endswith("_") else layer)
        changes |= share_by_hand(layer, family, tensors[f"{name}.{up}.weight"] @ tensors[f"{name}.{down}.weight"])
    return changes


def share_by_hand(layer: str, family: str, change: Tensor) -> dict[str, Tensor]:
    """Return the part of a change that each layer of diffusers' gets: thirds, or of `linear1` as many rows as its row
    has numbers, and the rest."""
    meant = BY_FAMILY.get(family, {}).get(layer) or MEANT.get(layer, (layer,))
    if layer in SWAPPED:
        change = torch.cat(change.chunk(2)[::-1])
    rows = change.shape[0] // len(meant) if len(meant) < 4 else change.shape[1]
    first = [rows] * (len(meant) - 1)
    return dict(zip(meant, torch.split(change, [*first, change.shape[0] - sum(first)]), strict=True))
