"""Qwen-Image and Krea 2 as real diffusers and transformers classes at toy size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLModel

from generation.engine.language_text import DESCRIBING
from generation.engine.seeing_text import EDITING
from tests.generation.engine.toy_flow import TEXT_WIDTH, make_flow_tokenizer

SCHEDULER: dict[str, Any] = {
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 0.9,
    "base_image_seq_len": 256,
    "max_image_seq_len": 8192,
    "shift_terminal": 0.02,
}


_TEXT_WIDTH = 256
"""Heads of Qwen2.5-VL are always 128 wide: no shape tells."""
_TASK = DESCRIBING.before.partition("\n")[2].partition("<|im_end|>")[0]
PIECES = (*(_TASK[start : start + 7] for start in range(0, 119, 7)), _TASK[119:])
"""The task in as many tokens as make the beginning of the template 34 long, as it is with the real word list."""
_EDITING = EDITING.before.partition("\n")[2].partition("<|im_end|>")[0]
EDITING_PIECES = (
    *(_EDITING[start : start + 27] for start in range(0, 9 * 27, 27)),
    _EDITING[9 * 27 : 266],
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
)
"""The same for that of the models that edit, 64 long with the letters behind them, and the marks of a picture."""


def save_toy_qwenimage(folder: Path, *, seed: int = 0, vae_width: int = 8, pieces: tuple[str, ...] = PIECES) -> Path:
    """Write a toy Qwen-Image (8 pixels a latent cell, patches of 2 x 2 cells) and return its folder."""
    torch.manual_seed(seed)
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=_TEXT_WIDTH,
        axes_dims_rope=(4, 14, 14),
    )
    raise_voice(transformer, "add_v_proj", "txt_in", "to_out")
    pipeline = QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=make_film_vae(vae_width),
        text_encoder=Qwen2_5_VLForConditionalGeneration(_text_config(len(pieces))).eval(),
        tokenizer=make_flow_tokenizer(folder / "words", pieces),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_qwenedit(folder: Path, *, is_plus: bool = False, zero_cond: bool = False, **changes: Any) -> Path:
    """Write a toy Qwen-Image-Edit, or -Plus: a Qwen-Image with marks of pictures, and a processor. Return its folder.

    `zero_cond`: as the 2511 is, whose network sees what is edited as pictures without noise.
    """
    path = save_toy_qwenimage(folder, pieces=EDITING_PIECES, **changes)
    name = "QwenImageEditPlusPipeline" if is_plus else "QwenImageEditPipeline"
    _change(path / "model_index.json", _class_name=name, processor=["transformers", "Qwen2VLProcessor"])
    _change(path / "transformer" / "config.json", zero_cond_t=zero_cond)
    (path / "processor").mkdir()
    settings = {"min_pixels": 56 * 56, "max_pixels": 392 * 392, "patch_size": 14, "merge_size": 2}
    (path / "processor" / "preprocessor_config.json").write_text(json.dumps(settings))
    return path


def save_toy_qwenedit_plus(folder: Path, **changes: Any) -> Path:
    return save_toy_qwenedit(folder, is_plus=True, **changes)


def _change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def save_toy_krea2(folder: Path, *, seed: int = 0, vae_width: int = 8, layers: tuple[int, ...] = ()) -> Path:
    """Write a toy Krea 2 (patches of 2 x 2 cells) and return its folder.

    `layers`: those of the text encoder that are read, and which its index then names; else the usual twelve.
    """
    torch.manual_seed(seed)
    transformer = Krea2Transformer2DModel(
        in_channels=64,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        timestep_embed_dim=32,
        text_hidden_dim=TEXT_WIDTH,
        num_text_layers=len(layers) or 12,
        text_num_attention_heads=2,
        text_num_key_value_heads=1,
        text_intermediate_size=64,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(8, 12, 12),
    )
    raise_voice(transformer, "to_v", "txt_in", "to_out")
    pipeline = Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            **{**SCHEDULER, "max_shift": 1.15, "max_image_seq_len": 6400, "shift_terminal": None}
        ),
        vae=make_film_vae(vae_width),
        text_encoder=Qwen3VLModel(_krea_text_config(max(layers, default=36))).eval(),
        tokenizer=make_flow_tokenizer(folder / "words", (*PIECES, "assistant")),
        transformer=transformer,
        **({"text_encoder_select_layers": layers} if layers else {}),
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def _krea_text_config(num_layers: int) -> Qwen3VLConfig:
    text: dict[str, Any] = {
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": num_layers,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 128,
        "vocab_size": 261 + len(PIECES),
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_theta": 5_000_000.0,
            "rope_type": "default",
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": TEXT_WIDTH,
        "deepstack_visual_indexes": [0],
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision)


def raise_voice(network: torch.nn.Module, *layers: str) -> None:
    """Let words change a toy's picture by more than roundings do."""
    for name, weight in network.named_parameters():
        if any(layer in name for layer in layers):
            weight.data.mul_(8)


def make_film_vae(width: int) -> AutoencoderKLQwenImage:
    """Return the VAE of Qwen-Image, narrower."""
    return AutoencoderKLQwenImage(
        base_dim=width,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
    )


def _text_config(num_pieces: int) -> Qwen2_5_VLConfig:
    text: dict[str, Any] = {
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_size": _TEXT_WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 260 + num_pieces,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_theta": 1_000_000.0, "rope_type": "default", "mrope_section": [16, 24, 24]},
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": _TEXT_WIDTH,
        "fullatt_block_indexes": [0],
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, image_token_id=258 + num_pieces)
