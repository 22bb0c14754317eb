"""A table of published headers: what `models add` accepts, and what it says of the rest. Real files, tiny."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models
from generation.errors import ConfigurationError
from generation.models.registry import Entry, Kind

Shapes = dict[str, tuple[int, ...]]
ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
IN_KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
OF_XL = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def kohya(layer: str = OF_XL, width: int = 2048) -> Shapes:
    return {f"{layer}.lora_down.weight": (2, width), f"{layer}.lora_up.weight": (6, 2), f"{layer}.alpha": ()}


def pair(layer: str, down: str = "lora_A.weight", up: str = "lora_B.weight", width: int = 768) -> Shapes:
    return {f"{layer}{down}": (2, width), f"{layer}{up}": (6, 2)}


def write(path: Path, shapes: Shapes, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: np.full(shape, 0.5, np.float16) for name, shape in shapes.items()}, path, metadata=metadata)
    return path


def add(folder: Path, path: Path, **options: Any) -> tuple[Entry, str]:
    said: list[str] = []
    return models.add(folder / "models", str(path), say=said.append, **options), "\n".join(said)


TAKEN: dict[str, tuple[Shapes, Kind, int]] = {
    "kohya, XL": (kohya(), Kind.LORA, 2048),
    "kohya, both text encoders": (
        kohya()
        | pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", ".lora_down.weight", ".lora_up.weight")
        | pair("lora_te2_text_model_encoder_layers_0_mlp_fc1", ".lora_down.weight", ".lora_up.weight"),
        Kind.LORA,
        2048,
    ),
    "kohya, a convolution": (
        {
            "lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight": (2, 320, 3, 3),
            "lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight": (320, 2, 1, 1),
        },
        Kind.LORA,
        0,
    ),
    "diffusers with PEFT": (pair(f"unet.{ATTENTION}.to_k."), Kind.LORA, 768),
    "PEFT alone": (pair(f"base_model.model.{ATTENTION}.to_k."), Kind.LORA, 768),
    "PEFT with the adapter's name": (
        pair(f"base_model.model.unet.{ATTENTION}.to_k.", "lora_A.default.weight", "lora_B.default.weight"),
        Kind.LORA,
        768,
    ),
    "diffusers before 0.22": (
        pair(f"unet.{ATTENTION}.processor.to_k_lora.", "down.weight", "up.weight", 1024),
        Kind.LORA,
        1024,
    ),
    "diffusers before 0.17": (
        pair(f"{ATTENTION}.processor.to_k_lora.", "down.weight", "up.weight"),
        Kind.LORA,
        768,
    ),
    "diffusers before 0.22, text": (
        pair("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.", "down.weight", "up.weight"),
        Kind.LORA,
        0,
    ),
    "diffusers 0.22": (pair(f"unet.{ATTENTION}.to_v.", "lora.down.weight", "lora.up.weight"), Kind.LORA, 768),
    "diffusers 0.22, text": (
        pair(
            "text_encoder.text_model.encoder.layers.0.mlp.fc1.",
            "lora_linear_layer.down.weight",
            "lora_linear_layer.up.weight",
        ),
        Kind.LORA,
        0,
    ),
    "with points between LDM's names": (
        pair("diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.", width=2048),
        Kind.LORA,
        2048,
    ),
    "OneTrainer's, with words beside it": (kohya() | {"bundle_emb.tok.string_to_param.*": (2, 768)}, Kind.LORA, 2048),
    "words of A1111": ({"emb_params": (3, 768)}, Kind.EMBEDDING, 768),
    "words of diffusers": ({"<cat>": (768,)}, Kind.EMBEDDING, 768),
    "words of XL": ({"clip_l": (3, 768), "clip_g": (3, 1280)}, Kind.EMBEDDING, 2048),
    "words of XL, with a count of steps": (
        {"clip_l": (3, 768), "clip_g": (3, 1280), "step": (1,)},
        Kind.EMBEDDING,
        2048,
    ),
    "a VAE": ({"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)}, Kind.VAE, 0),
    "a VAE cut from a checkpoint": (
        {
            "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
            "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
        },
        Kind.VAE,
        0,
    ),
}

FOREIGN = "another kind of model than Stable Diffusion 1, 2 and XL"
REFUSED: dict[str, tuple[Shapes, str]] = {
    "a bias": (pair(f"unet.{ATTENTION}.to_k.") | {f"unet.{ATTENTION}.to_k.lora_B.bias": (6,)}, "no other kind"),
    "Flux, kohya": (kohya("lora_unet_double_blocks_0_img_attn_proj", 3072), FOREIGN),
    "Flux, diffusers": (pair("transformer.transformer_blocks.0.attn.to_q.", width=3072), FOREIGN),
    "Flux, single blocks": (kohya("lora_unet_single_blocks_0_linear1", 3072), FOREIGN),
    "Stable Diffusion 3": (kohya("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536), FOREIGN),
    "Z-Image": (pair("diffusion_model.layers.0.attention.to_q.", width=3840), FOREIGN),
    "Qwen-Image": (pair("transformer_blocks.0.attn.add_q_proj.", width=3072), FOREIGN),
    "Wan": (pair("diffusion_model.blocks.0.cross_attn.k."), FOREIGN),
    "a third text encoder": (kohya() | kohya("lora_te3_encoder_block_0_layer_0_SelfAttention_q", 4096), FOREIGN),
    "half a LoRA": ({f"{OF_XL}.lora_down.weight": (2, 2048)}, "lacks one of the two matrices"),
    "a misfit": ({f"{OF_XL}.lora_down.weight": (2, 2048), f"{OF_XL}.lora_up.weight": (6, 3)}, "do not fit each other"),
    "many scales": (kohya() | {f"{OF_XL}.alpha": (2,)}, "more than one number"),
    "two tools": (kohya() | pair(f"unet.{ATTENTION}.to_k."), "mixes the names of two tools"),
    "one layer by two names": (
        pair(f"unet.{ATTENTION}.to_k.") | pair(f"base_model.model.{ATTENTION}.to_k."),
        "twice",
    ),
    "words of Flux": ({"clip_l": (3, 768), "t5xxl": (3, 4096)}, "a text encoder that Stable Diffusion"),
    "words of Stable Diffusion 3": (
        {"clip_l": (3, 768), "clip_g": (3, 1280), "t5xxl": (3, 4096)},
        "a text encoder that Stable Diffusion",
    ),
    "words for the second encoder alone": ({"clip_g": (3, 1280)}, "a text encoder that Stable Diffusion"),
    "too many words": ({"emb_params": (65, 768)}, "1 to 64 vectors"),
    "no word": ({"emb_params": (0, 768)}, "1 to 64 vectors"),
    "unequal words": ({"clip_l": (3, 768), "clip_g": (2, 1280)}, "equally many"),
    "two tables of unknown use": ({"a": (3, 768), "b": (3, 1280)}, "no checkpoint, LoRA"),
    "a VAE of Flux": (
        {"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 16, 3, 3)},
        "VAE of 16 latent channels",
    ),
    "a VAE of films": (
        {"encoder.conv_in.weight": (8, 3, 3, 3, 3), "decoder.conv_in.weight": (8, 16, 3, 3, 3)},
        "16 latent channels",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_usable_files_are_accepted(tmp_path: Path, name: str) -> None:
    shapes, kind, width = TAKEN[name]
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert (entry.kind, entry.context_width) == (kind, width)


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_files_are_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    shapes, says = REFUSED[name]
    with pytest.raises(ConfigurationError) as refused:
        add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert says in str(refused.value) and str(refused.value).endswith(".") and "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "settings", ['{"unet.use_dora": true}', '{"unet.use_rslora": true}', "[]", "{", '{"unet.lora_alpha": NaN}']
)
def test_the_metadata_of_a_lora_is_read_before_it_is_added(tmp_path: Path, settings: str) -> None:
    metadata = {"lora_adapter_metadata": settings}
    with pytest.raises(ConfigurationError, match=r"a DoRA's magnitudes|are not read|cannot be read"):
        add(tmp_path, write(tmp_path / "x.safetensors", pair(f"unet.{ATTENTION}.to_k."), metadata))


def test_unused_parts_of_a_lora_are_named(tmp_path: Path) -> None:
    _, said = add(tmp_path, write(tmp_path / "x.safetensors", kohya() | {"bundle_emb.tok.string_to_param.*": (2, 768)}))
    assert "The textual inversion in it is not used" in said


def test_the_scale_that_peft_keeps_beside_its_file_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "adapter_model.safetensors", pair(f"base_model.model.{ATTENTION}.to_k."))
    beside = tmp_path / "adapter_config.json"
    beside.write_text(json.dumps({"r": 8, "lora_alpha": 4}))
    _, said = add(tmp_path, file, name="ink")
    assert "trained at 0.5 times" in said
    beside.write_text(json.dumps({"r": 8, "lora_alpha": 8, "use_rslora": True}))
    with pytest.raises(ConfigurationError, match="sets use_rslora"):
        add(tmp_path, file, name="other")
