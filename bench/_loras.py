"""LoRA of random numbers for the attention of a model folder, under the names of diffusers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from generation.models.catalog import Model
from generation.models.hashing import digest_file
from generation.models.inspect import describe
from generation.requests.prompt_addons import PromptAddon

_CHANGED = re.compile(r"(attn\d?|attention)\.(to_q|to_out\.0|to_qkv_mlp_proj|to_out)\.weight$")
_NUMBER, _RANK = 2, 4


def with_random_loras(model: Model, folder: Path) -> Model:
    """Return the model with two of them, which are written below `folder`."""
    return replace(model, loras=tuple(_write(model, folder / f"{seed}.safetensors", seed) for seed in range(_NUMBER)))


def _write(model: Model, path: Path, seed: int) -> PromptAddon:
    random = torch.Generator().manual_seed(seed)
    part = model.info.denoiser
    tensors = {}
    with safe_open(model.path / part / "diffusion_pytorch_model.safetensors", "pt") as weights:
        for name in filter(_CHANGED.search, weights.keys()):
            gives, takes = weights.get_slice(name).get_shape()
            layer = f"{part}.{name.removesuffix('.weight')}"
            tensors[f"{layer}.lora_A.weight"] = 0.3 * torch.randn(_RANK, takes, generator=random)
            tensors[f"{layer}.lora_B.weight"] = 0.3 * torch.randn(gives, _RANK, generator=random)
    save_file(tensors, path)
    return PromptAddon(name=f"random-{seed}", path=path, sha256=digest_file(path), family=describe(path).family)
