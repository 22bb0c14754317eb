"""Real IP-Adapters and image encoders at toy size with random weights, for the toys of `toy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from generation.models.add import add_path
from generation.models.hashing import hash_files
from generation.models.ip_adapters import IpAdapterFile
from generation.paintbox import MODEL_DIR
from generation.requests.image_prompt import ImagePrompt
from tests.generation.engine.toy import SECOND_WIDTH, TOY, WIDTH, Sizes, _unet

SEEN_PX = 32
PROJECTED, HIDDEN = 12, 16
"""What a toy encoder says of a picture, and of a patch."""
_PLUS_WIDTH, _PLUS_LAYERS = 64, 4
_NUM_QUERIES = 5


def save_toy_encoder(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a CLIP image encoder as a folder and return it."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"hidden_size": HIDDEN, "intermediate_size": 32, "projection_dim": PROJECTED}
    config = CLIPVisionConfig(
        **sizes | {"num_hidden_layers": 3, "num_attention_heads": 2, "image_size": SEEN_PX, "patch_size": 8} | changes
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def build_toy_weights(
    *, family: str = "sd", plus: bool = False, seed: int = 0, sizes: Sizes = TOY, unet: Any = None
) -> dict[str, Tensor]:
    """Return the tensors of an IP-Adapter as its authors name them. `unet`: what it is for, instead of a toy's."""
    torch.manual_seed(seed)
    width = sizes.width if family == "sd" else sizes.width + sizes.second_width
    if unet is None:
        unet = _unet(sizes, cross_attention_dim=width)
    width = unet.config.cross_attention_dim
    tensors = _build_plus(width) if plus else _build_standard(width)
    number = 1
    for name, attention in unet.named_modules():
        if name.endswith("attn2"):
            for part in ("to_k_ip", "to_v_ip"):
                tensors[f"ip_adapter.{number}.{part}.weight"] = torch.randn(attention.inner_dim, width) * 0.5
            number += 2
    return tensors


def _build_standard(width: int) -> dict[str, Tensor]:
    proj = {"proj.weight": torch.randn(4 * width, PROJECTED) * 0.3, "proj.bias": torch.randn(4 * width) * 0.3}
    norm = {"norm.weight": 1 + torch.randn(width) * 0.1, "norm.bias": torch.randn(width) * 0.1}
    return {f"image_proj.{name}": each for name, each in (proj | norm).items()}


def _build_plus(width: int) -> dict[str, Tensor]:
    """Return a resampler's weights under its authors' names, which diffusers' class has others for."""
    made = IPAdapterPlusImageProjection(
        HIDDEN, width, _PLUS_WIDTH, depth=_PLUS_LAYERS, heads=_PLUS_WIDTH // 64, num_queries=_NUM_QUERIES
    )
    own = {name: each.detach().clone() for name, each in made.state_dict().items()}
    tensors = {f"image_proj.{name}": own[name] for name in own if not name.startswith("layers.")}
    for layer in range(_PLUS_LAYERS):
        here, there = f"layers.{layer}.", f"image_proj.layers.{layer}."
        for part in ("weight", "bias"):
            tensors[f"{there}0.norm1.{part}"] = own[f"{here}ln0.{part}"]
            tensors[f"{there}0.norm2.{part}"] = own[f"{here}ln1.{part}"]
            tensors[f"{there}1.0.{part}"] = own[f"{here}ff.0.{part}"]
        tensors[f"{there}0.to_q.weight"] = own[f"{here}attn.to_q.weight"]
        tensors[f"{there}0.to_kv.weight"] = torch.cat([own[f"{here}attn.to_{each}.weight"] for each in "kv"])
        tensors[f"{there}0.to_out.weight"] = own[f"{here}attn.to_out.0.weight"]
        tensors[f"{there}1.1.weight"] = own[f"{here}ff.1.net.0.proj.weight"]
        tensors[f"{there}1.3.weight"] = own[f"{here}ff.1.net.2.weight"]
    return tensors


def save_toy_ip_adapter(folder: Path, *, name: str = "looks", family: str = "sd", **options: Any) -> IpAdapterFile:
    """Write a toy IP-Adapter, and its image encoder beside it if there is none yet."""
    encoder, file = folder / "image_encoder", folder / f"{name}.safetensors"
    if not encoder.is_dir():
        save_toy_encoder(encoder)
    tensors = build_toy_weights(family=family, **options)
    save_file(tensors, file)
    return IpAdapterFile(
        name=name,
        path=file,
        encoder=encoder,
        sha256=hash_files(file, image_encoder=encoder),
        context_width=WIDTH if family == "sd" else WIDTH + SECOND_WIDTH,
    )


def looking_by(file: IpAdapterFile, **changes: Any) -> ImagePrompt:
    plain: dict[str, Any] = {"adapter": file.name, "adapter_sha256": file.sha256, "sha256": "e" * 64}
    return ImagePrompt(**plain | changes)


def add_to_built_in(root: Path, *names: str) -> Path:
    """Add IP-Adapters for the built-in model to the models folder `root/models`, and return it; `plus` is of that
    kind."""
    unet = UNet2DConditionModel.from_pretrained(MODEL_DIR / "unet")
    save_toy_encoder(root / "image_encoder")
    for name in names:
        save_file(build_toy_weights(unet=unet, plus=name == "plus"), root / f"{name}.safetensors")
        add_path(
            root / "models",
            root / f"{name}.safetensors",
            say=lambda line: None,
            require_loadable=lambda model: None,
            require_fitting=lambda lora, folders: None,
        )
    return root / "models"
