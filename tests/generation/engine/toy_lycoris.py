"""LoRA of every kind for the toy's UNet, made and applied by the library LyCORIS itself: the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lycoris.modules import LoConModule, LohaModule, LokrModule
from safetensors.torch import save_file
from torch import nn

from generation.requests.prompt_addons import PromptAddon
from tests.generation.engine.toy_extras import ATTENTION, an_extra

LINEAR = ATTENTION.format(which=1, part="to_q")
WIDER = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
STRIDED = "down_blocks.0.downsamplers.0.conv"
FLAT_CONVOLUTION = "down_blocks.0.attentions.0.proj_in"
LAYERS = (LINEAR, WIDER, CONVOLUTION, STRIDED, FLAT_CONVOLUTION)
"""One of every sort that a LoRA may change: two linear ones, and convolutions of three sorts."""

Make = Callable[[nn.Module], nn.Module]
KINDS: dict[str, Make] = {
    "LoCon": lambda base: LoConModule("x", base, lora_dim=3, alpha=1.5),
    "LoCon, Tucker": lambda base: LoConModule("x", base, lora_dim=3, alpha=1.5, use_tucker=True),
    "LoHa of low rank": lambda base: LohaModule("x", base, lora_dim=2, alpha=1.0),
    "LoHa of high rank": lambda base: LohaModule("x", base, lora_dim=6, alpha=3.0),
    "LoHa, Tucker": lambda base: LohaModule("x", base, lora_dim=2, alpha=1.0, use_tucker=True),
    "LoKr": lambda base: LokrModule("x", base, lora_dim=1, alpha=0.5),
    "LoKr, whole": lambda base: LokrModule("x", base, lora_dim=64, alpha=7.0, factor=4, full_matrix=True),
    "LoKr of four": lambda base: LokrModule("x", base, lora_dim=1, alpha=0.5, factor=4, decompose_both=True),
    "LoKr, uneven": lambda base: LokrModule("x", base, lora_dim=1, alpha=0.5, factor=2, unbalanced_factorization=True),
    "LoKr, Tucker": lambda base: LokrModule("x", base, lora_dim=2, alpha=0.5, factor=2, use_tucker=True),
    "DoRA": lambda base: LoConModule("x", base, lora_dim=3, alpha=1.5, weight_decompose=True),
    "DoRA of columns": lambda base: LoConModule(
        "x", base, lora_dim=3, alpha=1.5, weight_decompose=True, wd_on_out=False
    ),
    "DoRA, LoHa": lambda base: LohaModule("x", base, lora_dim=2, alpha=1.0, weight_decompose=True),
    "DoRA, LoKr": lambda base: LokrModule(
        "x", base, lora_dim=1, alpha=0.5, factor=4, weight_decompose=True, wd_on_out=False
    ),
}


def make_lycoris(kind: str, net: nn.Module, *, layers: tuple[str, ...] = LAYERS, seed: int = 0) -> dict[str, Any]:
    """Return LyCORIS's modules for layers of a network, by layer, with numbers as after a training."""
    random = torch.Generator().manual_seed(seed)
    made: dict[str, Any] = {}
    for layer in layers:
        made[layer] = KINDS[kind](net.get_submodule(layer)).eval()
        for name, parameter in made[layer].named_parameters():
            if name == "dora_scale":
                parameter.data *= 1 + 0.3 * torch.rand(parameter.shape, generator=random)
            else:
                parameter.data = 0.4 * torch.randn(parameter.shape, generator=random)
    return made


def save_lycoris(
    path: Path, modules: Mapping[str, nn.Module], rename: Callable[[str], str] = lambda layer: f"lora_unet_{layer}"
) -> PromptAddon:
    """Write them as LyCORIS does in kohya's scripts, and return the catalogue entry."""
    tensors: dict[str, Any] = {}
    for layer, module in modules.items():
        for name, tensor in module.state_dict().items():
            tensors[f"{rename(layer.replace('.', '_'))}.{name}"] = tensor.detach().clone().contiguous()
    save_file(tensors, path)
    return an_extra(path)
