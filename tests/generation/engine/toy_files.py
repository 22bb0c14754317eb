"""Toy models as single files under the names in which they are published, made from folders of `toy_flow`."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.generation.engine.toy_checkpoint import vae_tensors

PREFIX = "model.diffusion_model."
_ZIMAGE = (
    ("all_x_embedder.2-1.", "x_embedder."),
    ("all_final_layer.2-1.", "final_layer."),
    (".attention.norm_q.", ".attention.q_norm."),
    (".attention.norm_k.", ".attention.k_norm."),
    (".attention.to_out.0.", ".attention.out."),
)
_KLEIN = (
    ("single_transformer_blocks.", "single_blocks."),
    ("transformer_blocks.", "double_blocks."),
    ("context_embedder.", "txt_in."),
    ("x_embedder.", "img_in."),
    ("time_guidance_embed.timestep_embedder.linear_1.", "time_in.in_layer."),
    ("time_guidance_embed.timestep_embedder.linear_2.", "time_in.out_layer."),
    ("double_stream_modulation_img.linear.", "double_stream_modulation_img.lin."),
    ("double_stream_modulation_txt.linear.", "double_stream_modulation_txt.lin."),
    ("single_stream_modulation.linear.", "single_stream_modulation.lin."),
    ("norm_out.linear.", "final_layer.adaLN_modulation.1."),
    ("proj_out.", "final_layer.linear."),
    ("attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale"),
    ("attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale"),
    ("attn.to_add_out.", "txt_attn.proj."),
    ("attn.to_out.0.", "img_attn.proj."),
    ("ff_context.linear_in.", "txt_mlp.0."),
    ("ff_context.linear_out.", "txt_mlp.2."),
    ("ff.linear_in.", "img_mlp.0."),
    ("ff.linear_out.", "img_mlp.2."),
    ("attn.to_qkv_mlp_proj.", "linear1."),
)


def read_transformer(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")


def name_as_published(weights: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """Return a transformer's weights under the names of its authors."""
    if family == "krea2":
        return {_name_as_krea(name): _flatten_modulation(name, weight) for name, weight in weights.items()}
    if family not in ("zimage", "klein"):
        return weights
    weights = dict(weights)
    for name in [name for name in weights if name.endswith((".attn.to_q.weight", ".attention.to_q.weight"))]:
        fused = [weights.pop(name.replace("to_q", part)) for part in ("to_q", "to_k", "to_v")]
        weights[name.replace("attn.to_q", "img_attn.qkv").replace("to_q", "qkv")] = torch.cat(fused)
    for name in [name for name in weights if "add_q_proj" in name]:
        fused = [weights.pop(name.replace("add_q", part)) for part in ("add_q", "add_k", "add_v")]
        weights[name.replace("attn.add_q_proj", "txt_attn.qkv")] = torch.cat(fused)
    if family == "klein":
        scale, shift = weights["norm_out.linear.weight"].chunk(2)
        weights["norm_out.linear.weight"] = torch.cat([shift, scale])
    return {_rename(name, family): weight.contiguous() for name, weight in weights.items()}


def save_text_encoder(folder: Path, file: Path) -> Path:
    """Write the text encoder of a folder as one file, as ComfyUI keeps it: the names of transformers, with `model.`."""
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    save_file({name if name.startswith("model.") else f"model.{name}": each for name, each in weights.items()}, file)
    return file


def save_vae(folder: Path, file: Path, family: str) -> Path:
    """Write the VAE of a folder as one file under the names of its authors."""
    if family in ("qwenimage", "krea2"):
        weights = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
        save_file({_name_as_wan(name): each for name, each in weights.items()}, file)
        return file
    weights = vae_tensors(folder)
    if family == "klein":
        inside = (("post_quant_conv.", "decoder.post_quant_conv."), ("quant_conv.", "encoder.quant_conv."))
        for ours, theirs in inside:
            weights = {re.sub(f"^{ours}", theirs, name): each for name, each in weights.items()}
    save_file(weights, file)
    return file


_KREA = (
    (r"^img_in\.", "first."),
    (r"^time_embed\.linear_1\.", "tmlp.0."),
    (r"^time_embed\.linear_2\.", "tmlp.2."),
    (r"^time_mod_proj\.", "tproj.1."),
    (r"^txt_in\.norm\.weight", "txtmlp.0.scale"),
    (r"^txt_in\.linear_1\.", "txtmlp.1."),
    (r"^txt_in\.linear_2\.", "txtmlp.3."),
    (r"^text_fusion\.", "txtfusion."),
    (r"^transformer_blocks\.", "blocks."),
    (r"^final_layer\.linear\.", "last.linear."),
    (r"^final_layer\.norm\.weight", "last.norm.scale"),
    (r"^final_layer\.scale_shift_table", "last.modulation.lin"),
    (r"\.attn\.to_([qkv])\.", r".attn.w\1."),
    (r"\.attn\.to_out\.0\.", ".attn.wo."),
    (r"\.attn\.to_gate\.", ".attn.gate."),
    (r"\.attn\.norm_([qk])\.weight", r".attn.qknorm.\1norm.scale"),
    (r"\.ff\.", ".mlp."),
    (r"\.norm1\.weight", ".prenorm.scale"),
    (r"\.norm2\.weight", ".postnorm.scale"),
    (r"\.scale_shift_table", ".mod.lin"),
)


def _name_as_krea(name: str) -> str:
    for ours, theirs in _KREA:
        name = re.sub(ours, theirs, name)
    return name


def _flatten_modulation(name: str, weight: Tensor) -> Tensor:
    is_of_block = name.startswith("transformer_blocks.") and name.endswith(".scale_shift_table")
    return weight.flatten() if is_of_block else weight


_WAN = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"coder\.conv_in\.", "coder.conv1."),
    (r"coder\.norm_out\.", "coder.head.0."),
    (r"coder\.conv_out\.", "coder.head.2."),
    (r"mid_block\.resnets\.0\.", "middle.0."),
    (r"mid_block\.attentions\.0\.", "middle.1."),
    (r"mid_block\.resnets\.1\.", "middle.2."),
    (r"encoder\.down_blocks\.", "encoder.downsamples."),
    (r"(middle\.[02]|downsamples\.\d+|resnets\.\d+)\.norm1\.", r"\1.residual.0."),
    (r"(middle\.[02]|downsamples\.\d+|resnets\.\d+)\.conv1\.", r"\1.residual.2."),
    (r"(middle\.[02]|downsamples\.\d+|resnets\.\d+)\.norm2\.", r"\1.residual.3."),
    (r"(middle\.[02]|downsamples\.\d+|resnets\.\d+)\.conv2\.", r"\1.residual.6."),
    (r"conv_shortcut\.", "shortcut."),
)


def _name_as_wan(name: str) -> str:
    for ours, theirs in _WAN:
        name = re.sub(ours, theirs, name)
    if found := re.match(r"decoder\.up_blocks\.(\d+)\.(?:resnets\.(\d+)|upsamplers\.0)\.(.+)", name):
        level, place, rest = found.groups()
        name = f"decoder.upsamples.{4 * int(level) + int(place or 3)}.{rest}"
    return name


def _rename(name: str, family: str) -> str:
    for ours, theirs in _ZIMAGE if family == "zimage" else _KLEIN:
        name = name.replace(ours, theirs)
    if family == "klein" and name.startswith("single_blocks."):
        name = name.replace("attn.to_out.", "linear2.")
        name = name.replace("attn.norm_q.weight", "norm.query_norm.scale")
        name = name.replace("attn.norm_k.weight", "norm.key_norm.scale")
    name = name.replace("attn.norm_q.weight", "img_attn.norm.query_norm.scale")
    return name.replace("attn.norm_k.weight", "img_attn.norm.key_norm.scale")
