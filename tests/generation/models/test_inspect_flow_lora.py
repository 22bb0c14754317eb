"""A table of headers of LoRA for Z-Image and FLUX.2 klein, at their published sizes, and how they are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.models.lora_names import read_names
from generation.models.registry import Kind
from tests.generation.models.test_inspect import Shapes, add, write
from tests.generation.models.test_inspect_lora import pair

FLOW: dict[str, tuple[Shapes, str]] = {
    "Z-Image, diffusers": (pair("transformer.layers.29.attention.to_q.", width=3840, gives=3840), "zimage"),
    "Z-Image, ComfyUI": (pair("diffusion_model.layers.0.attention.to_q.", width=3840, gives=3840), "zimage"),
    "Z-Image, three in one": (pair("lora_unet_layers_0_attention_qkv.", width=3840, gives=11520), "zimage"),
    "FLUX.2 klein, kohya": (pair("lora_unet_double_blocks_4_img_attn_qkv.", width=3072, gives=9216), "klein"),
    "FLUX.2 klein, diffusers": (
        pair("transformer.single_transformer_blocks.19.attn.to_qkv_mlp_proj.", width=3072, gives=27648),
        "klein",
    ),
    "Qwen-Image, diffusers": (
        pair("transformer.transformer_blocks.59.attn.to_q.", width=3072, gives=3072),
        "qwenimage",
    ),
    "Qwen-Image, ComfyUI": (
        pair("diffusion_model.transformer_blocks.0.img_mlp.net.2.", width=12288, gives=3072),
        "qwenimage",
    ),
    "Qwen-Image, kohya": (pair("lora_unet_transformer_blocks_3_txt_mod_1.", width=3072, gives=18432), "qwenimage"),
    "FLUX.2 klein 9B": (pair("diffusion_model.double_blocks.7.txt_mlp.0.", width=4096, gives=24576), "klein9b"),
}


@pytest.mark.parametrize("name", FLOW)
def test_lora_of_transformers_are_told_by_their_names_and_sizes(tmp_path: Path, name: str) -> None:
    shapes, family = FLOW[name]
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert (entry.kind, entry.family) == (Kind.LORA, family)


def test_what_a_trainer_writes_under_both_names_is_read_once() -> None:
    """As Anime-Z does: `qkv` beside the three it is, `out` beside `to_out.0`."""
    both = {"qkv": 11520, "to_q": 3840, "to_k": 3840, "to_v": 3840, "out": 3840, "to_out.0": 3840}
    shapes = {
        name: shape
        for layer, gives in both.items()
        for name, shape in pair(
            f"layers.0.attention.{layer}.", "lora.down.weight", "lora.up.weight", width=3840, gives=gives
        ).items()
    }
    layers = {layer.removeprefix("lora_transformer_layers_0_attention_") for layer, _ in read_names(shapes).values()}
    assert layers == {"to_q", "to_k", "to_v", "to_out_0"}
