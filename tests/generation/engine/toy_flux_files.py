"""FLUX.1, T5 and CLIP as single files under the names in which they are published, made from folders of `toy_flow`."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.generation.engine.test_gguf_weights import save_gguf
from tests.generation.engine.toy_checkpoint import vae_tensors

Weights = dict[str, Tensor]
_FLUX = (
    ("time_text_embed.timestep_embedder.linear_1.", "time_in.in_layer."),
    ("time_text_embed.timestep_embedder.linear_2.", "time_in.out_layer."),
    ("time_text_embed.text_embedder.linear_1.", "vector_in.in_layer."),
    ("time_text_embed.text_embedder.linear_2.", "vector_in.out_layer."),
    ("time_text_embed.guidance_embedder.linear_1.", "guidance_in.in_layer."),
    ("time_text_embed.guidance_embedder.linear_2.", "guidance_in.out_layer."),
    ("single_transformer_blocks.", "single_blocks."),
    ("transformer_blocks.", "double_blocks."),
    ("context_embedder.", "txt_in."),
    ("x_embedder.", "img_in."),
    ("norm_out.linear.", "final_layer.adaLN_modulation.1."),
    ("norm1_context.linear.", "txt_mod.lin."),
    ("norm1.linear.", "img_mod.lin."),
    (".norm.linear.", ".modulation.lin."),
    ("attn.norm_added_q.weight", "txt_attn.norm.query_norm.scale"),
    ("attn.norm_added_k.weight", "txt_attn.norm.key_norm.scale"),
    ("attn.to_add_out.", "txt_attn.proj."),
    ("attn.to_out.0.", "img_attn.proj."),
    ("ff_context.net.0.proj.", "txt_mlp.0."),
    ("ff_context.net.2.", "txt_mlp.2."),
    ("ff.net.0.proj.", "img_mlp.0."),
    ("ff.net.2.", "img_mlp.2."),
)
_T5 = (
    (r"^shared\.", "token_embd."),
    (r"^encoder\.final_layer_norm\.", "enc.output_norm."),
    (r"^encoder\.block\.", "enc.blk."),
    (r"layer\.0\.SelfAttention\.relative_attention_bias", "attn_rel_b"),
    (r"layer\.0\.SelfAttention\.", "attn_"),
    (r"layer\.0\.layer_norm", "attn_norm"),
    (r"layer\.1\.layer_norm", "ffn_norm"),
    (r"layer\.1\.DenseReluDense\.wi_0", "ffn_gate"),
    (r"layer\.1\.DenseReluDense\.wi_1", "ffn_up"),
    (r"layer\.1\.DenseReluDense\.wo", "ffn_down"),
)


def name_flux_as_published(weights: Weights) -> Weights:
    """Return the weights of a FLUX.1 or Chroma under the names of its authors, joined and turned as they are there."""
    weights = dict(weights)
    for last in ("weight", "bias"):
        for name in [name for name in weights if name.endswith(f".attn.add_q_proj.{last}")]:
            parts = [weights.pop(name.replace("add_q", part)) for part in ("add_q", "add_k", "add_v")]
            weights[name.replace("attn.add_q_proj", "txt_attn.qkv")] = torch.cat(parts)
        for name in [name for name in weights if name.endswith(f".attn.to_q.{last}")]:
            parts = [weights.pop(name.replace("to_q", part)) for part in ("to_q", "to_k", "to_v")]
            joined = "img_attn.qkv"
            if name.startswith("single_"):
                parts, joined = [*parts, weights.pop(name.replace("attn.to_q", "proj_mlp"))], "linear1"
            weights[name.replace("attn.to_q", joined)] = torch.cat(parts)
        if f"norm_out.linear.{last}" in weights:  # not in Chroma
            weights[f"norm_out.linear.{last}"] = _turn(weights[f"norm_out.linear.{last}"])
    return {_rename(name): weight.contiguous() for name, weight in weights.items()}


def _turn(rows: Tensor) -> Tensor:
    scale, shift = rows.chunk(2)
    return torch.cat([shift, scale])


_SD3 = (
    (r"^pos_embed\.pos_embed$", "pos_embed"),
    (r"^pos_embed\.proj\.", "x_embedder.proj."),
    (r"^time_text_embed\.timestep_embedder\.", "t_embedder."),
    (r"^time_text_embed\.text_embedder\.", "y_embedder."),
    (r"_embedder\.linear_1\.", "_embedder.mlp.0."),
    (r"_embedder\.linear_2\.", "_embedder.mlp.2."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^transformer_blocks\.", "joint_blocks."),
    (r"\.norm1_context\.linear\.", ".context_block.adaLN_modulation.1."),
    (r"\.norm1\.linear\.", ".x_block.adaLN_modulation.1."),
    (r"\.attn\.norm_added_([qk])\.", r".context_block.attn.ln_\1."),
    (r"\.(attn2?)\.norm_([qk])\.", r".x_block.\1.ln_\2."),
    (r"\.attn\.to_add_out\.", ".context_block.attn.proj."),
    (r"\.(attn2?)\.to_out\.0\.", r".x_block.\1.proj."),
    (r"\.ff_context\.net\.0\.proj\.", ".context_block.mlp.fc1."),
    (r"\.ff_context\.net\.2\.", ".context_block.mlp.fc2."),
    (r"\.ff\.net\.0\.proj\.", ".x_block.mlp.fc1."),
    (r"\.ff\.net\.2\.", ".x_block.mlp.fc2."),
)


def name_sd3_as_published(weights: Weights) -> Weights:
    """Return the weights of a Stable Diffusion 3.5 under the names of its authors."""
    weights = dict(weights)
    for first, parts, joined in (
        (".attn.to_q.", ("to_q", "to_k", "to_v"), ".x_block.attn.qkv."),
        (".attn2.to_q.", ("to_q", "to_k", "to_v"), ".x_block.attn2.qkv."),
        (".attn.add_q_proj.", ("add_q", "add_k", "add_v"), ".context_block.attn.qkv."),
    ):
        for name in [name for name in weights if first in name]:
            fused = [weights.pop(name.replace(parts[0], part)) for part in parts]
            weights[name.replace(first, joined)] = torch.cat(fused)
    last = max(int(name.split(".")[1]) for name in weights if name.startswith("transformer_blocks."))
    turned = (f"transformer_blocks.{last}.norm1_context.linear.", "norm_out.linear.")
    named: Weights = {}
    for name, weight in weights.items():
        new = name
        for ours, theirs in _SD3:
            new = re.sub(ours, theirs, new)
        named[new] = (_turn(weight) if name.startswith(turned) else weight).contiguous()
    return named


def _rename(name: str) -> str:
    if name.startswith("distilled_guidance_layer."):
        name = re.sub(r"(norms\.\d+\.)weight", r"\1scale", name)
        return name.replace("linear_1.", "in_layer.").replace("linear_2.", "out_layer.")
    for ours, theirs in _FLUX:
        name = name.replace(ours, theirs)
    if name.startswith("proj_out."):
        return name.replace("proj_out.", "final_layer.linear.")
    name = name.replace(".proj_out.", ".linear2.")
    inside = "norm." if name.startswith("single_blocks.") else "img_attn.norm."
    for ours, theirs in (("q", "query"), ("k", "key")):
        name = name.replace(f"attn.norm_{ours}.weight", f"{inside}{theirs}_norm.scale")
    return name


def in_fp8(weights: Weights, *, is_scaled: bool) -> Weights:
    """Return matrices in fp8 with a scale each, as ComfyUI publishes them; or all weights in it, as others do."""
    if not is_scaled:
        return {name: weight.to(torch.float8_e4m3fn) for name, weight in weights.items()}
    found: Weights = {"scaled_fp8": torch.empty(0, dtype=torch.float8_e4m3fn)}
    for name, weight in weights.items():
        if weight.dim() == 2 and "embed" not in name and "shared" not in name:
            scale = weight.abs().max() / 448
            found[name] = (weight / scale).to(torch.float8_e4m3fn)
            found[f"{name.removesuffix('weight')}scale_weight"] = scale
        else:
            found[name] = weight
    return found


def read_part(folder: Path, part: str) -> Weights:
    """Return the weights of a part of a model folder, a table under two names once."""
    file = next((folder / part).glob("*.safetensors"))
    return {name: each for name, each in load_file(file).items() if name != "encoder.embed_tokens.weight"}


def save_clip(folder: Path, file: Path, *, part: str = "text_encoder") -> Path:
    """Write a CLIP as ComfyUI keeps it: names with `text_model.`, in its first layer too, and one of positions."""
    weights = read_part(folder, part)
    named = {name if name.startswith("text_") else f"text_model.{name}": each for name, each in weights.items()} | {
        "text_model.embeddings.position_ids": torch.arange(77)[None]
    }
    save_file(named, file)
    return file


def save_t5(folder: Path, file: Path, form: str, *, part: str) -> Path:
    """Write a T5 whole, in fp8 with or without scales, or in blocks of GGUF under the names of llama.cpp."""
    weights = read_part(folder, part)
    if form == "gguf":
        return save_gguf(name_t5_in_gguf(weights), file.with_suffix(".gguf"), Kind.Q8_0, arch="t5encoder")
    if form != "whole":
        weights = in_fp8(weights, is_scaled=form == "scaled")
    save_file(weights, file)
    return file


def name_t5_in_gguf(weights: Weights) -> Weights:
    return {_name_in_gguf(name): weight for name, weight in weights.items()}


def _name_in_gguf(name: str) -> str:
    for ours, theirs in _T5:
        name = re.sub(ours, theirs, name)
    return name


def save_ae(folder: Path, file: Path) -> Path:
    """Write the VAE of FLUX.1 as `ae.safetensors` is: the first names, without a prefix."""
    save_file(vae_tensors(folder), file)
    return file
