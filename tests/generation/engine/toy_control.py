"""Real ControlNets at toy size with random weights, for the toys of `toy`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter
from msgspec import UNSET
from safetensors.torch import load_file, save_file

from generation.models.controls import ControlFile
from generation.models.hashing import hash_files
from generation.requests.control import ADAPTER, UNION, Control
from tests.generation.engine.toy import TOY, Sizes
from tests.generation.engine.toy_checkpoint import rename_unet


def build_toy_control(
    *, family: str = "sd", seed: int = 0, sizes: Sizes = TOY, of: Any = ControlNetModel, **changes: Any
) -> Any:
    """Return a ControlNet whose outputs are not zero, as those of an untrained one are. `of`: its class."""
    torch.manual_seed(seed)
    added: dict[str, Any] = {"cross_attention_dim": sizes.width}
    if family == "sdxl":
        added = {
            "cross_attention_dim": sizes.width + sizes.second_width,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": sizes.second_width + 6 * 8,
        }
    network = of(
        **{
            "in_channels": 4,
            "block_out_channels": sizes.channels,
            "layers_per_block": 1,
            "down_block_types": tuple(f"{each}DownBlock2D" for each in sizes.blocks),
            "norm_num_groups": sizes.groups,
            "attention_head_dim": sizes.heads,
            "use_linear_projection": sizes.is_open_clip,
            "conditioning_embedding_out_channels": (8, 8, 16, 16),
            **added,
            **changes,
        }
    )
    fill_zeros(network, 0.2)
    return network


def fill_zeros(network: Any, deviation: float) -> None:
    """Give the layers random weights that are zero before training: else it adds nothing."""
    parts = [network.controlnet_down_blocks, network.controlnet_mid_block, network.controlnet_cond_embedding]
    for each in [*parts, *(getattr(network, name) for name in ("spatial_ch_projs",) if hasattr(network, name))]:
        for weight in each.parameters():
            weight.data.normal_(0, deviation)


def save_toy_control(folder: Path, *, name: str = "edges", family: str = "sd", **options: Any) -> ControlFile:
    """Write a toy ControlNet as a folder in the diffusers layout."""
    network, path = build_toy_control(family=family, **options), folder / name
    network.save_pretrained(path, safe_serialization=True)
    return ControlFile(name=name, path=path, sha256=hash_files(path), family=family)


def save_toy_union(folder: Path, *, name: str = "union", sizes: Sizes = TOY, **options: Any) -> ControlFile:
    """Write a toy ControlNet Union of XL that knows six kinds of maps."""
    width = {"num_trans_channel": sizes.channels[0], "num_proj_channel": sizes.channels[0], "num_trans_head": 2}
    network = build_toy_control(family="sdxl", sizes=sizes, of=ControlNetUnionModel, **width | options)
    network.save_pretrained(folder / name, safe_serialization=True)
    sha256 = hash_files(folder / name)
    return ControlFile(name=name, path=folder / name, sha256=sha256, family="sdxl", kind=UNION, num_modes=6)


def save_toy_adapter(
    folder: Path, *, name: str = "adapter", family: str = "sd", seed: int = 0, sizes: Sizes = TOY, **changes: Any
) -> ControlFile:
    """Write a toy T2I-Adapter as a folder in the diffusers layout."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {"channels": list(sizes.channels), "num_res_blocks": 2}
    if family == "sdxl":
        shape = {"channels": [*sizes.channels, sizes.channels[-1]], "num_res_blocks": 2}
        shape |= {"adapter_type": "full_adapter_xl", "downscale_factor": 16}
    network = T2IAdapter(**shape | changes)
    network.save_pretrained(folder / name, safe_serialization=True)
    return ControlFile(name=name, path=folder / name, sha256=hash_files(folder / name), family=family, kind=ADAPTER)


def save_as_one_file(folder: Path, path: Path, *, prefix: str | None = None) -> Path:
    """Write the weights of a folder as a file by itself; with a prefix, under the names of the first ControlNets."""
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    if prefix is not None:
        tensors = {prefix + name_first(name): tensor for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def name_first(name: str) -> str:
    """Return the name that the first ControlNets have for a layer."""
    name = re.sub(r"^controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0", name)
    name = name.replace("controlnet_mid_block.", "middle_block_out.0.")
    name = name.replace("controlnet_cond_embedding.conv_in.", "input_hint_block.0.")
    name = name.replace("controlnet_cond_embedding.conv_out.", "input_hint_block.14.")
    hint = re.match(r"controlnet_cond_embedding\.blocks\.(\d)", name)
    if hint is not None:
        return name.replace(hint[0], f"input_hint_block.{2 * int(hint[1]) + 2}")
    return rename_unet(name)


def control_by(file: ControlFile, **changes: Any) -> Control:
    plain: dict[str, Any] = {"network": file.name, "network_sha256": file.sha256, "sha256": "c" * 64}
    plain["kind"] = file.kind or UNSET
    if file.kind == UNION:
        plain["mode"] = "depth"
    return Control(**plain | changes)
