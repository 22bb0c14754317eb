"""LoRA for the toys of models that are trained by flow matching, under the names of every tool that writes them."""

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
    "flux": {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.0.attn.to_out.0": (64, 64),
        "transformer_blocks.0.attn.add_k_proj": (64, 64),
        "transformer_blocks.0.ff.net.0.proj": (64, 256),
        "transformer_blocks.0.ff_context.net.2": (256, 64),
        "transformer_blocks.0.norm1.linear": (64, 384),
        "single_transformer_blocks.0.attn.to_v": (64, 64),
        "single_transformer_blocks.1.proj_mlp": (64, 256),
        "single_transformer_blocks.1.proj_out": (320, 64),
        "x_embedder": (64, 64),
    },
    "chroma": {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.0.ff.net.0.proj": (64, 256),
        "single_transformer_blocks.0.attn.to_v": (64, 64),
        "single_transformer_blocks.1.proj_out": (320, 64),
        "distilled_guidance_layer.out_proj": (64, 64),
    },
    "sd3": {
        "transformer_blocks.0.attn.to_q": (64, 64),
        "transformer_blocks.0.attn2.to_k": (64, 64),
        "transformer_blocks.0.attn2.to_out.0": (64, 64),
        "transformer_blocks.1.attn.add_v_proj": (64, 64),
        "transformer_blocks.0.ff.net.0.proj": (64, 256),
        "transformer_blocks.0.norm1.linear": (64, 576),
        "context_embedder": (64, 64),
        "proj_out": (64, 64),
    },
    "krea2": {
        "transformer_blocks.0.attn.to_q": (128, 128),
        "transformer_blocks.1.attn.to_k": (128, 64),
        "transformer_blocks.0.ff.down": (128, 128),
        "text_fusion.refiner_blocks.0.attn.to_gate": (64, 64),
        "txt_in.linear_1": (64, 128),
        "final_layer.linear": (128, 64),
    },
    "ernie": {
        "layers.0.self_attention.to_q": (128, 128),
        "layers.1.self_attention.to_out.0": (128, 128),
        "layers.0.mlp.gate_proj": (128, 256),
        "layers.1.mlp.linear_fc2": (256, 128),
        "adaLN_modulation.1": (128, 768),
        "final_linear": (128, 128),
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
    "flux": {
        "double_blocks.0.img_attn.qkv": (64, 192),
        "double_blocks.0.txt_attn.qkv": (64, 192),
        "double_blocks.0.img_attn.proj": (64, 64),
        "double_blocks.0.txt_attn.proj": (64, 64),
        "double_blocks.0.txt_mlp.0": (64, 256),
        "double_blocks.0.img_mlp.2": (256, 64),
        "double_blocks.0.img_mod.lin": (64, 384),
        "double_blocks.0.txt_mod.lin": (64, 384),
        "single_blocks.0.linear1": (64, 448),
        "single_blocks.1.linear2": (320, 64),
        "single_blocks.1.modulation.lin": (64, 192),
        "img_in": (64, 64),
        "txt_in": (64, 64),
        "time_in.in_layer": (256, 64),
        "vector_in.out_layer": (64, 64),
        "guidance_in.in_layer": (256, 64),
        "final_layer.linear": (64, 64),
        "final_layer.adaLN_modulation.1": (64, 128),
    },
    "chroma": {
        "double_blocks.0.img_attn.qkv": (64, 192),
        "double_blocks.0.txt_mlp.0": (64, 256),
        "single_blocks.0.linear1": (64, 448),
        "distilled_guidance_layer.in_proj": (16, 64),
        "distilled_guidance_layer.layers.0.in_layer": (64, 64),
    },
    "sd3": {
        "joint_blocks.0.x_block.attn.qkv": (64, 192),
        "joint_blocks.0.x_block.attn.proj": (64, 64),
        "joint_blocks.0.x_block.attn2.qkv": (64, 192),
        "joint_blocks.0.x_block.attn2.proj": (64, 64),
        "joint_blocks.1.context_block.attn.qkv": (64, 192),
        "joint_blocks.0.context_block.attn.proj": (64, 64),
        "joint_blocks.0.x_block.mlp.fc1": (64, 256),
        "joint_blocks.0.context_block.mlp.fc2": (256, 64),
        "joint_blocks.0.x_block.adaLN_modulation.1": (64, 576),
        "joint_blocks.0.context_block.adaLN_modulation.1": (64, 384),
        "joint_blocks.1.context_block.adaLN_modulation.1": (64, 128),
        "t_embedder.mlp.0": (256, 64),
        "y_embedder.mlp.2": (64, 64),
        "final_layer.linear": (64, 64),
        "final_layer.adaLN_modulation.1": (64, 128),
    },
    "krea2": {
        "blocks.0.attn.wq": (128, 128),
        "blocks.1.attn.wk": (128, 64),
        "blocks.0.attn.wo": (128, 128),
        "blocks.1.attn.gate": (128, 128),
        "blocks.0.mlp.up": (128, 128),
        "txtfusion.layerwise_blocks.0.attn.wv": (64, 32),
        "txtfusion.refiner_blocks.0.mlp.gate": (64, 64),
        "txtfusion.projector": (12, 1),
        "first": (64, 128),
        "last.linear": (128, 64),
        "tmlp.0": (32, 128),
        "tproj.1": (128, 768),
        "txtmlp.3": (128, 128),
    },
    "ernie": {
        "layers.1.self_attention.to_v": (128, 128),
        "layers.0.mlp.up_proj": (128, 256),
        "text_proj": (64, 128),
        "final_norm.linear": (128, 256),
    },
}
"""The same by the names of the models' authors; those of Qwen-Image and ERNIE-Image are diffusers' too."""
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
