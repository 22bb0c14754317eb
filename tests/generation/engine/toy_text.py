"""Text encoders of toy models in the formats people download: GGUF as llama.cpp writes it, fp8 with and without
scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.generation.engine.toy_flow import TEXT_WIDTH

_GGUF = (
    ("embed_tokens.", "token_embd."),
    ("layers.", "blk."),
    ("input_layernorm.", "attn_norm."),
    ("post_attention_layernorm.", "ffn_norm."),
    ("self_attn.q_proj.", "attn_q."),
    ("self_attn.k_proj.", "attn_k."),
    ("self_attn.v_proj.", "attn_v."),
    ("self_attn.o_proj.", "attn_output."),
    ("self_attn.q_norm.", "attn_q_norm."),
    ("self_attn.k_norm.", "attn_k_norm."),
    ("mlp.gate_proj.", "ffn_gate."),
    ("mlp.up_proj.", "ffn_up."),
    ("mlp.down_proj.", "ffn_down."),
)
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
Weights = dict[str, Tensor]


def read_text(folder: Path) -> Weights:
    """Return the text encoder of a toy by the names of its class, without a head."""
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    return {name.removeprefix("model."): each for name, each in weights.items() if not name.startswith("lm_head")}


def save_gguf_text(
    weights: Mapping[str, Tensor],
    file: Path,
    kind: Kind,
    *,
    arch: str = "qwen3",
    write_words: Callable[[Any], None] | None = None,
) -> Path:
    """Write a file as llama.cpp does: its names, matrices in blocks, norms whole, and numbers that no shape tells."""
    writer = gguf.GGUFWriter(str(file), arch=arch)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_block_count(3)
    if write_words is not None:
        write_words(writer)
    else:
        writer.add_token_list(["a", "b"])
    for name, weight in weights.items():
        numbers = weight.float().numpy()
        if weight.dim() == 2 and weight.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] == 0:
            writer.add_tensor(name_in_gguf(name), gguf.quants.quantize(numbers, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name_in_gguf(name), numbers)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    return file


def name_in_gguf(name: str) -> str:
    if name.startswith("norm."):
        return f"output_{name}"
    for ours, theirs in _GGUF:
        name = name.replace(ours, theirs)
    return name


def _cast(weights: Weights, kind: torch.dtype, scale_name: str = "", *, by_row: bool = False) -> Weights:
    """Return matrices in fp8 and, with a name for it, the scale of each, as ComfyUI's files have them."""
    made: Weights = {"scaled_fp8": torch.empty(0, dtype=kind)} if scale_name else {}
    for name, each in weights.items():
        if each.dim() != 2:
            made[f"model.{name}"] = each
            continue
        most = each.abs().amax(dim=1, keepdim=True) if by_row else each.abs().max()
        scale = most / torch.finfo(kind).max if scale_name else torch.ones(())
        made[f"model.{name}"] = (each / scale).to(kind)
        if scale_name:
            made[f"model.{name.removesuffix('weight')}{scale_name}"] = scale.float()
    return made


def _save_fp8(kind: torch.dtype, scale_name: str = "", *, by_row: bool = False) -> Callable[[Weights, Path], Path]:
    def save(weights: Weights, file: Path) -> Path:
        file = file.with_suffix(".safetensors")
        save_file(_cast(weights, kind, scale_name, by_row=by_row), file)
        return file

    return save


def _save_blocks(kind: Kind) -> Callable[[Weights, Path], Path]:
    return lambda weights, file: save_gguf_text(weights, file.with_suffix(".gguf"), kind)


DIALECTS: dict[str, tuple[Callable[[Weights, Path], Path], float]] = {
    "gguf BF16": (_save_blocks(Kind.BF16), 0.01),
    "gguf Q8_0": (_save_blocks(Kind.Q8_0), 0.02),
    "gguf Q5_1": (_save_blocks(Kind.Q5_1), 0.1),
    "gguf Q4_0": (_save_blocks(Kind.Q4_0), 0.2),
    "e4m3": (_save_fp8(E4M3), 0.1),
    "e5m2": (_save_fp8(E5M2), 0.2),
    "e4m3 scale_weight": (_save_fp8(E4M3, "scale_weight"), 0.1),
    "e4m3 weight_scale": (_save_fp8(E4M3, "weight_scale"), 0.1),
    "e4m3 weight_scale by row": (_save_fp8(E4M3, "weight_scale", by_row=True), 0.1),
}
"""How a text encoder is written, and how far its states may be from those of whole weights, in parts of their size."""


def plain_values(file: Path) -> Weights:
    """Return a file's weights multiplied out, in float32, by arithmetic that is not ours, by the names of its class."""
    if file.suffix == ".gguf":
        back = {name_in_gguf(name): name for name in _names()}
        found = gguf.GGUFReader(str(file)).tensors
        return {back[x.name]: _whole(gguf.quants.dequantize(x.data, x.tensor_type)) for x in found}
    weights = {name.removeprefix("model."): each for name, each in load_file(file).items()}
    plain = {}
    for name, each in weights.items():
        if name.endswith(".weight"):
            layer = name.removesuffix("weight")
            scale = weights.get(f"{layer}scale_weight", weights.get(f"{layer}weight_scale", torch.ones(())))
            plain[name] = each.float() * scale
    return plain


def _whole(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(numbers, np.float32))


def _names(layers: int = 28) -> list[str]:
    inside = [name for name, _ in _GGUF[2:]]
    outside = ["embed_tokens.weight", "norm.weight"]
    return [*outside, *(f"layers.{index}.{name}weight" for index in range(layers) for name in inside)]


assert TEXT_WIDTH % 32 == 0, "rows are whole blocks"
