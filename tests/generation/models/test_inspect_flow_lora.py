"""A table of headers of LoRA for transformers, at their published sizes, and how they are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.errors import ConfigurationError
from generation.models.lora_names import read_names
from generation.models.registry import Kind
from tests.generation.models.test_inspect import Shapes, add, write
from tests.generation.models.test_inspect_lora import pair

FLUX, FLUX_OR_CHROMA = "flux kontext", "flux kontext chroma"
EARLY = pair("transformer.transformer_blocks.0.attn.to_q.", width=3072, gives=3072)


def kohya(layer: str, width: int, gives: int) -> Shapes:
    return pair(f"{layer}.", "lora_down.weight", "lora_up.weight", width, gives) | {f"{layer}.alpha": ()}


def xlabs(layer: str, width: int, gives: int) -> Shapes:
    return pair(f"{layer}.", "down.weight", "up.weight", width, gives)


CLIP_L = kohya("lora_te1_text_model_encoder_layers_11_mlp_fc1", 768, 3072)
FLOW: dict[str, tuple[Shapes, str]] = {
    "Z-Image, diffusers": (pair("transformer.layers.29.attention.to_q.", width=3840, gives=3840), "zimage"),
    "Z-Image, ComfyUI": (pair("diffusion_model.layers.0.attention.to_q.", width=3840, gives=3840), "zimage"),
    "Z-Image, three in one": (kohya("lora_unet_layers_0_attention_qkv", 3840, 11520), "zimage"),
    "klein, kohya": (kohya("lora_unet_single_blocks_19_linear2", 12288, 3072), "klein"),
    "klein by its sizes": (pair("diffusion_model.double_blocks.0.img_mlp.0.", width=3072, gives=18432), "klein"),
    "klein, diffusers": (
        pair("transformer.single_transformer_blocks.19.attn.to_qkv_mlp_proj.", width=3072, gives=27648),
        "klein",
    ),
    "klein 9B": (pair("diffusion_model.double_blocks.7.txt_mlp.0.", width=4096, gives=24576), "klein9b"),
    "Qwen-Image, attention": (
        pair("transformer.transformer_blocks.59.attn.to_q.", width=3072, gives=3072),
        "qwenimage qwenedit qweneditplus",
    ),
    "Qwen-Image, kohya": (
        kohya("lora_unet_transformer_blocks_3_txt_mod_1", 3072, 18432),
        "qwenimage qwenedit qweneditplus",
    ),
    "FLUX.1, kohya": (kohya("lora_unet_double_blocks_0_img_mod_lin", 3072, 18432), FLUX),
    "FLUX.1, kohya with CLIP": (kohya("lora_unet_single_blocks_37_linear1", 3072, 21504) | CLIP_L, FLUX),
    "FLUX.1, ComfyUI with CLIP": (
        pair("diffusion_model.single_blocks.0.modulation.lin.", width=3072, gives=9216)
        | pair("text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.", gives=768),
        FLUX,
    ),
    "FLUX.1, diffusers with CLIP": (
        pair("transformer.single_transformer_blocks.37.attn.to_q.", width=3072, gives=3072)
        | pair("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.", gives=768),
        FLUX,
    ),
    "FLUX.1 or Chroma": (kohya("lora_unet_single_blocks_37_linear1", 3072, 21504), FLUX_OR_CHROMA),
    "FLUX.1 or Chroma by sizes": (
        pair("diffusion_model.double_blocks.0.img_mlp.0.", width=3072, gives=12288),
        FLUX_OR_CHROMA,
    ),
    "FLUX.1 or Chroma, LoKr": (
        {f"lora_unet_double_blocks_18_img_attn_proj.lokr_w{n}": size for n, size in ((1, (4, 4)), (2, (768, 768)))},
        FLUX_OR_CHROMA,
    ),
    "FLUX.1 or Chroma, XLabs": (
        xlabs("double_blocks.0.processor.qkv_lora1", 3072, 9216)
        | xlabs("double_blocks.0.processor.proj_lora2", 3072, 3072)
        | xlabs("single_blocks.0.processor.qkv_lora", 3072, 9216),
        FLUX_OR_CHROMA,
    ),
    "early attention of 3072": (EARLY, "flux kontext chroma klein qwenimage qwenedit qweneditplus"),
    "Chroma": (kohya("lora_unet_distilled_guidance_layer_layers_4_in_layer", 5120, 5120), "chroma"),
    "Chroma, bare": (pair("distilled_guidance_layer.in_proj.", width=64, gives=5120), "chroma"),
    "Stable Diffusion 3.5 Medium, kohya": (
        kohya("lora_unet_joint_blocks_12_x_block_attn2_qkv", 1536, 4608)
        | kohya("lora_unet_joint_blocks_23_context_block_adaLN_modulation_1", 1536, 3072)
        | CLIP_L
        | kohya("lora_te2_text_model_encoder_layers_31_mlp_fc2", 5120, 1280),
        "sd3",
    ),
    "Stable Diffusion 3.5 Large, diffusers": (
        pair("transformer.transformer_blocks.37.attn.add_q_proj.", width=2432, gives=2432),
        "sd3large",
    ),
    "Krea 2, early attention": (pair("diffusion_model.blocks.0.attn.wq.", width=6144, gives=6144), "krea2"),
    "Krea 2, diffusers": (pair("transformer.transformer_blocks.0.attn.to_q.", width=6144, gives=6144), "krea2"),
    "Krea 2, kohya": (kohya("lora_unet_txtfusion_refiner_blocks_1_mlp_gate", 2560, 6912), "krea2"),
}


@pytest.mark.parametrize("name", FLOW)
def test_lora_of_transformers_are_told_by_their_names_and_sizes(tmp_path: Path, name: str) -> None:
    shapes, families = FLOW[name]
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert (entry.kind, entry.family) == (Kind.LORA, families)


@pytest.mark.parametrize(
    ("said", "families"),
    [
        ({"ss_base_model_version": "flux1"}, FLUX),
        ({"modelspec.architecture": "Flux.1-dev/lora"}, FLUX),
        ({"modelspec.architecture": "flux-2-klein-4b/lora"}, "klein"),
        ({"ss_base_model_version": "chroma"}, "chroma"),
        ({"ss_base_model_version": "qwen_image"}, "qwenimage qwenedit qweneditplus"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "flux kontext chroma klein qwenimage qwenedit qweneditplus"),
    ],
)
def test_what_a_header_says_decides_among_those_that_fit(tmp_path: Path, said: dict[str, str], families: str) -> None:
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", EARLY, metadata=said))
    assert entry.family == families


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            kohya("lora_unet_double_blocks_0_img_mod_lin", 3072, 18432)
            | kohya("lora_te3_encoder_block_0_layer_0_SelfAttention_q", 4096, 4096),
            "of text encoders, LoRA change the CLIP of FLUX.1 and Stable Diffusion 3.5, and no other",
        ),
        (kohya("lora_unet_single_blocks_0_linear1", 3072, 27648) | CLIP_L, "has no such text encoder"),
        (kohya("lora_unet_double_blocks_0_img_norm", 3072, 3072), "which have no such layer"),
        (kohya("lora_unet_double_blocks_19_img_attn_qkv", 3072, 9216), "which have no such layer"),
        (
            kohya("lora_unet_double_blocks_0_img_mod_lin", 3072, 18432)
            | kohya("lora_unet_single_blocks_0_linear1", 3072, 27648),
            "changes layers that no model has side by side",
        ),
    ],
)
def test_what_fits_no_model_is_refused_in_a_sentence(tmp_path: Path, shapes: Shapes, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert said in str(refused.value) and str(refused.value).endswith(".") and "\n" not in str(refused.value)


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
