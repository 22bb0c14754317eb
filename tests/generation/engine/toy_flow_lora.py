"""LoRA for the toys of Z-Image and FLUX.2 klein, under the names of every tool that writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from generation.models.inspect import describe
from generation.requests.prompt_addons import PromptAddon

Layers = Mapping[str, tuple[int, int]]
"""Layers by name: numbers each takes and gives."""
DIFFUSERS: Mapping[str, Layers] = {
    "zimage": {
        "layers.0.attention.to_q": (128, 128),
        "layers.1.attention.to_out.0": (128, 128),
        "layers.2.feed_forward.w2": (341, 128),
        "layers.0.adaLN_modulation.0": (128, 512),
        "noise_refiner.0.attention.to_k": (128, 128),
        "context_refiner.0.feed_forward.w1": (128, 341),
        "all_x_embedder.2-1": (64, 128),
        "cap_embedder.1": (64, 128),
        "all_final_layer.2-1.linear": (128, 64),
    },
    "klein": {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.0.attn.to_out.0": (64, 64),
        "transformer_blocks.0.attn.add_k_proj": (64, 64),
        "transformer_blocks.0.attn.to_add_out": (64, 64),
        "transformer_blocks.0.ff.linear_in": (64, 384),
        "transformer_blocks.0.ff_context.linear_out": (192, 64),
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj": (64, 576),
        "single_transformer_blocks.1.attn.to_out": (256, 64),
        "x_embedder": (128, 64),
        "proj_out": (64, 128),
    },
    "qwenimage": {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.0.attn.to_out.0": (64, 64),
        "transformer_blocks.1.attn.add_k_proj": (64, 64),
        "transformer_blocks.1.attn.to_add_out": (64, 64),
        "transformer_blocks.0.img_mlp.net.2": (256, 64),
        "transformer_blocks.1.txt_mlp.net.0.proj": (64, 256),
        "transformer_blocks.0.img_mod.1": (64, 384),
        "txt_in": (256, 64),
        "proj_out": (64, 64),
    },
}
"""A choice of the toys' layers by diffusers' names."""
AUTHORS: Mapping[str, Layers] = {
    "zimage": {
        "layers.0.attention.qkv": (128, 384),
        "layers.1.attention.out": (128, 128),
        "layers.2.feed_forward.w2": (341, 128),
        "x_embedder": (64, 128),
        "final_layer.linear": (128, 64),
    },
    "klein": {
        "double_blocks.0.img_attn.qkv": (64, 192),
        "double_blocks.0.txt_attn.qkv": (64, 192),
        "double_blocks.0.img_attn.proj": (64, 64),
        "double_blocks.0.txt_mlp.0": (64, 384),
        "double_blocks.0.img_mlp.2": (192, 64),
        "single_blocks.0.linear1": (64, 576),
        "single_blocks.1.linear2": (256, 64),
        "img_in": (128, 64),
        "final_layer.adaLN_modulation.1": (64, 128),
    },
    "qwenimage": {
        "transformer_blocks.0.attn.to_v": (64, 64),
        "transformer_blocks.1.attn.add_q_proj": (64, 64),
        "transformer_blocks.0.img_mlp.net.0.proj": (64, 256),
        "transformer_blocks.1.txt_mod.1": (64, 384),
    },
}
"""The same by the names of the models' authors; those of Qwen-Image are diffusers' too."""
PREFIXES = {
    "diffusers": "transformer.",
    "ComfyUI": "diffusion_model.",
    "PEFT": "base_model.model.",
    "kohya": "lora_unet_",
    "OneTrainer": "lora_transformer_",
    "LyCORIS": "lycoris_",
    "bare": "",
}


def write_flow_lora(path: Path, layers: Layers, tool: str, *, rank: int = 3, alpha: float = 2.0) -> PromptAddon:
    """Write a LoRA with the names of a tool; those with underscores have an alpha for each layer."""
    random = torch.Generator().manual_seed(len(tool))
    tensors: dict[str, Tensor] = {}
    for layer, (takes, gives) in layers.items():
        is_kohya = PREFIXES[tool].endswith("_")
        name = PREFIXES[tool] + (layer.replace(".", "_") if is_kohya else layer)
        down, up = ("lora_down", "lora_up") if is_kohya else ("lora_A", "lora_B")
        tensors[f"{name}.{down}.weight"] = 0.3 * torch.randn(rank, takes, generator=random)
        tensors[f"{name}.{up}.weight"] = 0.3 * torch.randn(gives, rank, generator=random)
        if is_kohya:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return write_addon(path, tensors)


def write_addon(path: Path, tensors: dict[str, Tensor]) -> PromptAddon:
    save_file(tensors, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PromptAddon(name=path.stem, path=path, sha256=digest, family=describe(path).family)
