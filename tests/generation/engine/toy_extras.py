"""LoRA and textual inversions for the toy models, in the published formats."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from generation.models.inspect import describe
from generation.requests.prompt_addons import Adapter, Embedding, PromptAddon
from tests.generation.engine.toy import SECOND_WIDTH, WIDTH

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn{which}.{part}"
UNET_LAYERS = {
    ATTENTION.format(which=1, part="to_q"): (16, 16),
    ATTENTION.format(which=1, part="to_out.0"): (16, 16),
    ATTENTION.format(which=2, part="to_k"): (16, 16),
    "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2": (64, 16),
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v": (16, 32),
}
"""Layer of the toy's UNet: numbers it takes and gives."""
TEXT_LAYERS = {
    "text_model.encoder.layers.0.self_attn.q_proj": (16, 16),
    "text_model.encoder.layers.0.self_attn.out_proj": (16, 16),
    "text_model.encoder.layers.1.mlp.fc1": (16, 32),
}
SECOND_TEXT_LAYERS = {
    "text_model.encoder.layers.0.self_attn.q_proj": (SECOND_WIDTH, SECOND_WIDTH),
    "text_model.encoder.layers.0.self_attn.out_proj": (SECOND_WIDTH, SECOND_WIDTH),
    "text_model.encoder.layers.1.mlp.fc1": (SECOND_WIDTH, 32),
}
WIDE = {**UNET_LAYERS, ATTENTION.format(which=2, part="to_k"): (WIDTH + SECOND_WIDTH, 16)} | {
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v": (WIDTH + SECOND_WIDTH, 32)
}
"""The same in the toy of Stable Diffusion XL, whose UNet reads from two text encoders."""


def kohya_lora(
    path: Path,
    *,
    unet: dict[str, tuple[int, int]] = UNET_LAYERS,
    text: dict[str, dict[str, tuple[int, int]]] | None = None,
    rank: int = 2,
    alpha: float = 1.0,
    seed: int = 0,
) -> PromptAddon:
    """As kohya's scripts write it: dots are underscores, and every layer has its alpha. `text` by prefix."""
    parts = {"lora_unet": unet} | ({"lora_te": TEXT_LAYERS} if text is None else text)
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for prefix, layers in parts.items():
        for layer, (takes, gives) in layers.items():
            name = f"{prefix}_{layer.replace('.', '_')}"
            tensors[f"{name}.lora_down.weight"] = torch.randn(rank, takes, generator=random)
            tensors[f"{name}.lora_up.weight"] = torch.randn(gives, rank, generator=random)
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path, metadata={"ss_network_module": "networks.lora"})
    return an_extra(path)


def peft_lora(path: Path, *, rank: int = 4, alpha: float | None = None, seed: int = 0) -> PromptAddon:
    """As diffusers saves what PEFT trained; with `alpha`, that stands in the header."""
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for prefix, layers in {"unet": UNET_LAYERS, "text_encoder": TEXT_LAYERS}.items():
        for layer, (takes, gives) in layers.items():
            tensors[f"{prefix}.{layer}.lora_A.weight"] = torch.randn(rank, takes, generator=random)
            tensors[f"{prefix}.{layer}.lora_B.weight"] = torch.randn(gives, rank, generator=random)
    settings: dict[str, Any] = {}
    if alpha is not None:
        for prefix, layers in {"unet": UNET_LAYERS, "text_encoder": TEXT_LAYERS}.items():
            names = [layer.removeprefix("text_model.") for layer in layers]
            settings |= {f"{prefix}.r": rank, f"{prefix}.lora_alpha": alpha, f"{prefix}.target_modules": names}
    metadata = {"format": "pt"} | ({"lora_adapter_metadata": json.dumps(settings)} if settings else {})
    save_file(tensors, path, metadata=metadata)
    return an_extra(path)


def an_embedding(path: Path, *, words: int = 2, width: int = WIDTH, seed: int = 0, is_xl: bool = False) -> PromptAddon:
    """A textual inversion: in AUTOMATIC1111's form for one text encoder, in the usual one for two."""
    random = torch.Generator().manual_seed(seed)
    widths = {"clip_l": width, "clip_g": SECOND_WIDTH} if is_xl else {"emb_params": width}
    save_file({name: torch.randn(words, each, generator=random) for name, each in widths.items()}, path)
    return an_extra(path)


def an_extra(path: Path) -> PromptAddon:
    """A catalogue entry for a file, also for one that `models add` would refuse."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        width = describe(path).context_width
    except ValueError:
        width = 0
    return PromptAddon(name=path.stem, path=path, sha256=digest, context_width=width)


def called(extra: PromptAddon, weight: float = 1.0) -> Adapter:
    return Adapter(extra.name, extra.sha256, weight)


def word(extra: PromptAddon) -> Embedding:
    return Embedding(extra.name, extra.sha256)
