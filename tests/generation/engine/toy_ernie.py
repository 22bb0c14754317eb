"""ERNIE-Image as real diffusers and transformers classes at toy size."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import Mistral3Config, Mistral3Model, PreTrainedTokenizerFast

TEXT_WIDTH = 64
_MARKS = ["<s>", "</s>", "<pad>"]


def save_toy_ernie(folder: Path, *, seed: int = 0, vae_width: int = 8) -> Path:
    """Write a toy ERNIE-Image (16 pixels a latent cell) and return its folder."""
    torch.manual_seed(seed)
    transformer = ErnieImageTransformer2DModel(
        hidden_size=128,
        num_attention_heads=4,
        num_layers=2,
        ffn_hidden_size=256,
        in_channels=128,
        out_channels=128,
        patch_size=1,
        text_in_dim=TEXT_WIDTH,
        rope_axes_dim=(8, 12, 12),
    )
    for weight in (transformer.adaLN_modulation[-1].weight, transformer.final_linear.weight):
        weight.data.normal_(0, 0.1)
    transformer.text_proj.weight.data.mul_(8)
    pipeline = ErnieImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_make_vae(vae_width),
        text_encoder=Mistral3Model(_text_config()).eval(),
        tokenizer=_make_tokenizer(folder / "words"),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def _make_vae(width: int) -> AutoencoderKLFlux2:
    vae = AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(width,) * 4,
        norm_num_groups=32 if width >= 32 else 4,
        latent_channels=32,
        sample_size=64,
    )
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def _text_config() -> Mistral3Config:
    text = {
        "model_type": "ministral3",
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "vocab_size": 256 + len(_MARKS),
        "max_position_embeddings": 2048,
        "pad_token_id": None,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 16,
        "image_size": 28,
        "patch_size": 14,
    }
    return Mistral3Config(text_config=text, vision_config=vision)


def _make_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """One token a byte, without merges, after a mark of the beginning."""
    folder.mkdir(parents=True)
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=letters, merges=[]))
    inner.add_special_tokens(_MARKS)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
