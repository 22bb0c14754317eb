"""Z-Image and FLUX.2 klein in their true shapes, with random weights, part by part: no more is in memory at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, ZImageTransformer2DModel
from transformers import Qwen3Config, Qwen3Model

from bench._random_model import save_toy_of

KLEIN: dict[str, Any] = {
    "in_channels": 128,
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
    "guidance_embeds": False,
}
KLEIN_9B = KLEIN | {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288}
QWEN3_4B: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
}
KL = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
_PARTS: dict[str, dict[str, Callable[[], Any]]] = {
    "zimage": {"transformer": ZImageTransformer2DModel, "vae": partial(AutoencoderKL, **KL)},
    "klein": {"transformer": partial(Flux2Transformer2DModel, **KLEIN), "vae": AutoencoderKLFlux2},
}
FLOW = tuple(_PARTS)
_TILE = 1 << 22


def write_folder(family: str, folder: Path) -> Path:
    """Write such a model in bfloat16 under `folder`, with the word list of its toy, and return where."""
    path = save_toy_of(family, folder)
    tile = (torch.randn(_TILE, generator=torch.Generator().manual_seed(0)) * 0.02).bfloat16()
    parts = _PARTS[family] | {"text_encoder": lambda: Qwen3Model(Qwen3Config(**QWEN3_4B))}
    for name, build in parts.items():
        shutil.rmtree(path / name)
        with torch.device("meta"):
            network = build().to(torch.bfloat16)
        _fill(network.to_empty(device="cpu"), tile)
        network.save_pretrained(path / name, safe_serialization=True)
        del network
    _lengthen(path / "tokenizer" / "tokenizer.json", QWEN3_4B["vocab_size"])
    index = json.loads((path / "model_index.json").read_text())
    index["text_encoder"][1] = "Qwen3Model"
    (path / "model_index.json").write_text(json.dumps(index))
    return path


def _lengthen(word_list: Path, size: int) -> None:
    """Let the word list of a toy, single letters, be as long as the text encoder knows, by words of two or three."""
    said = json.loads(word_list.read_text())
    words: dict[str, int] = said["model"]["vocab"]
    letters = [word for word in words if len(word) == 1]
    taken = {*words.values(), *(each["id"] for each in said["added_tokens"])}
    free = [number for number in range(size) if number not in taken]
    pairs = [(left, right) for left in letters for right in letters]
    merges = [*pairs, *((left + middle, right) for left, middle in pairs for right in letters[:2])][: len(free)]
    words |= {left + right: number for (left, right), number in zip(merges, free, strict=True)}
    said["model"]["merges"] = merges
    word_list.write_text(json.dumps(said))


@torch.no_grad()
def _fill(network: torch.nn.Module, tile: torch.Tensor) -> None:
    """Fill in plausible weights: small ones for matrices, ones and zeros for norms. A forward stays finite."""
    for name, weight in [*network.named_parameters(), *network.named_buffers()]:
        flat = weight.view(-1)
        if weight.ndim < 2:
            flat.fill_(0.0 if name.endswith(("bias", "mean")) else 1.0)
            continue
        for start in range(0, flat.numel(), _TILE):
            piece = flat[start : start + _TILE]
            piece.copy_(tile[: piece.numel()])
