"""A toy model folder as one file, in the layouts of published Stable Diffusion 1, 2 and XL checkpoints.

The inverse of what diffusers does when it reads one, for the toy's few kinds of layers.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_UNET = [
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
    (r"^down_blocks\.0\.attentions\.0", "input_blocks.1.1"),
    (r"^down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
    (r"^down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
    (r"^up_blocks\.0\.resnets\.0", "output_blocks.0.0"),
    (r"^up_blocks\.0\.resnets\.1", "output_blocks.1.0"),
    (r"^up_blocks\.0\.upsamplers\.0", "output_blocks.1.1"),
    (r"^up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
    (r"^up_blocks\.1\.attentions\.0", "output_blocks.2.1"),
    (r"^up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
    (r"^up_blocks\.1\.attentions\.1", "output_blocks.3.1"),
    (r"\.norm1\.(?=weight|bias)", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.norm2\.(?=weight|bias)", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]
_VAE = [
    (r"\.down_blocks\.(\d)\.resnets", r".down.\1.block"),
    (r"\.down_blocks\.(\d)\.downsamplers\.0", r".down.\1.downsample"),
    (r"\.up_blocks\.(\d)\.resnets", lambda found: f".up.{3 - int(found[1])}.block"),
    (r"\.up_blocks\.(\d)\.upsamplers\.0", lambda found: f".up.{3 - int(found[1])}.upsample"),
    (r"\.mid_block\.resnets\.0", ".mid.block_1"),
    (r"\.mid_block\.resnets\.1", ".mid.block_2"),
    (r"\.mid_block\.attentions\.0\.group_norm", ".mid.attn_1.norm"),
    (r"\.mid_block\.attentions\.0\.to_q", ".mid.attn_1.q"),
    (r"\.mid_block\.attentions\.0\.to_k", ".mid.attn_1.k"),
    (r"\.mid_block\.attentions\.0\.to_v", ".mid.attn_1.v"),
    (r"\.mid_block\.attentions\.0\.to_out\.0", ".mid.attn_1.proj_out"),
    (r"\.conv_norm_out", ".norm_out"),
    (r"\.conv_shortcut", ".nin_shortcut"),
]


_OPEN_CLIP = [
    (r"^(text_model\.)?embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"^(text_model\.)?embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^(text_model\.)?final_layer_norm", "ln_final"),
    (r"^(text_model\.)?encoder\.layers", "transformer.resblocks"),
    (r"\.layer_norm(\d)\.", r".ln_\1."),
    (r"\.self_attn\.out_proj", ".attn.out_proj"),
    (r"\.mlp\.fc1", ".mlp.c_fc"),
    (r"\.mlp\.fc2", ".mlp.c_proj"),
]


def save_checkpoint(model: Path, file: Path) -> Path:
    """Write the weights of a toy folder into one file, as Stable Diffusion 1 has it."""
    text = _in_clip(model / "text_encoder", "cond_stage_model.transformer.")
    save_file(_painting(model) | text, file)
    return file


def save_checkpoint_2(model: Path, file: Path) -> Path:
    """Write it as Stable Diffusion 2 has it."""
    text = _in_open_clip(model / "text_encoder", "cond_stage_model.model.")
    save_file(_painting(model) | text, file)
    return file


def save_checkpoint_xl(model: Path, file: Path) -> Path:
    """Write it as Stable Diffusion XL has it."""
    first = _in_clip(model / "text_encoder", "conditioner.embedders.0.transformer.")
    second = _in_open_clip(model / "text_encoder_2", "conditioner.embedders.1.model.")
    save_file(_painting(model) | first | second, file)
    return file


def _painting(model: Path) -> dict[str, Tensor]:
    unet = load_file(model / "unet" / "diffusion_pytorch_model.safetensors")
    tensors = {"model.diffusion_model." + rename_unet(name): tensor for name, tensor in unet.items()}
    return tensors | {"first_stage_model." + name: tensor for name, tensor in vae_tensors(model).items()}


def _in_clip(folder: Path, prefix: str) -> dict[str, Tensor]:
    text = load_file(folder / "model.safetensors")
    return {f"{prefix}text_model." + name.removeprefix("text_model."): tensor for name, tensor in text.items()}


def _in_open_clip(folder: Path, prefix: str) -> dict[str, Tensor]:
    """Query, key and value are one matrix there, and the projection lies on its side."""
    text = load_file(folder / "model.safetensors")
    tensors = {}
    for name, tensor in text.items():
        new = name
        for pattern, to in _OPEN_CLIP:
            new = re.sub(pattern, to, new)
        if name == "text_projection.weight":
            tensors[prefix + "text_projection"] = tensor.T.contiguous()
        elif ".q_proj." in name:
            three = [text[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            tensors[prefix + re.sub(r"self_attn\.q_proj\.", "attn.in_proj_", new)] = torch.cat(three)
        elif not re.search(r"\.[kv]_proj\.", name):
            tensors[prefix + new] = tensor
    return tensors


def vae_tensors(model: Path) -> dict[str, Tensor]:
    """The toy's VAE under the names it has in a file of its own."""
    renamed = {}
    for name, tensor in load_file(model / "vae" / "diffusion_pytorch_model.safetensors").items():
        new = name
        for pattern, to in _VAE:
            new = re.sub(pattern, to, new)  # type: ignore[call-overload]
        is_matrix = ".attn_1." in new and new.endswith("weight") and tensor.dim() == 2
        renamed[new] = tensor[..., None, None].contiguous() if is_matrix else tensor
    return renamed


def rename_unet(name: str) -> str:
    """Return the name that the first checkpoints have for a layer of a UNet."""
    is_transformer = ".transformer_blocks." in name or re.search(r"\.attentions\.\d\.(norm|proj)", name)
    for pattern, to in _UNET:
        if pattern.startswith("^") or not is_transformer:
            name = re.sub(pattern, to, name)
    return name
