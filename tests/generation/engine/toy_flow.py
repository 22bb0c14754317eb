"""Models that are trained by flow matching, as real diffusers and transformers classes at toy size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from generation.models.catalog import Model
from generation.models.clip_words import build_vocabulary
from generation.models.families import FAMILIES
from generation.requests.defaults import Defaults
from tests.generation.engine.toy import NUM_LETTER_WORDS, TOY, Sizes, make_tokenizer

SIDE_PX = 64
TEXT_WIDTH = 64
_POOLED = 32
"""Numbers of CLIP's sum of a prompt."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""What Qwen3's own chat template makes of one turn."""


def save_toy_zimage(folder: Path, *, seed: int = 0, vae_width: int = 8) -> Path:
    """Write a toy Z-Image (8 pixels a latent cell, patches of 2 x 2 cells) and return its folder.

    A VAE of 32 channels is normalised in groups as the real ones are; narrower ones are not.
    """
    torch.manual_seed(seed)
    transformer = ZImageTransformer2DModel(
        in_channels=16,
        dim=128,
        n_layers=3,
        n_refiner_layers=1,
        n_heads=4,
        n_kv_heads=4,
        cap_feat_dim=TEXT_WIDTH,
        axes_dims=[8, 12, 12],
        axes_lens=[1024, 64, 64],
    )
    transformer.x_pad_token.data.normal_()
    transformer.cap_pad_token.data.normal_()
    pipeline = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(vae_width),
        text_encoder=Qwen3Model(_text_config(layers=3)).eval(),
        tokenizer=make_flow_tokenizer(folder / "words"),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_klein(folder: Path, *, seed: int = 0, vae_width: int = 8) -> Path:
    """Write a toy FLUX.2 klein (16 pixels a latent cell) and return its folder."""
    torch.manual_seed(seed)
    vae = AutoencoderKLFlux2(**_vae_blocks(vae_width), latent_channels=32, sample_size=64)
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(_text_config(layers=28)).eval(),
        tokenizer=make_flow_tokenizer(folder / "words"),
        transformer=Flux2Transformer2DModel(
            in_channels=128,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=32,
            num_attention_heads=2,
            joint_attention_dim=3 * TEXT_WIDTH,
            timestep_guidance_channels=32,
            axes_dims_rope=(8, 8, 8, 8),
            guidance_embeds=False,
        ),
        is_distilled=False,
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_flux(
    folder: Path, *, seed: int = 0, vae_width: int = 8, is_schnell: bool = False, sizes: Sizes = TOY
) -> Path:
    """Write a toy FLUX.1 dev, or schnell (8 pixels a latent cell, patches of 2 x 2 cells), and return its folder.

    `sizes`: `REAL` for a CLIP whose settings a file's shapes tell.
    """
    torch.manual_seed(seed)
    clip = _clip_config(_POOLED) if sizes is TOY else _real_clip_config(sizes.width)
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=1.0 if is_schnell else 3.0, use_dynamic_shifting=not is_schnell
        ),
        vae=_vae(vae_width),
        text_encoder=CLIPTextModel(clip).eval(),
        tokenizer=make_tokenizer(folder / "letters", sizes),
        text_encoder_2=T5EncoderModel(_t5_config()).eval(),
        tokenizer_2=make_t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=32,
            num_attention_heads=2,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=clip.hidden_size,
            axes_dims_rope=(4, 14, 14),
            guidance_embeds=not is_schnell,
        ),
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_kontext(folder: Path, **changes: Any) -> Path:
    """Write a toy FLUX.1 Kontext: a folder as dev's, but for the name of its pipeline. Return it."""
    path = save_toy_flux(folder, **changes)
    index = path / "model_index.json"
    index.write_text(index.read_text().replace("FluxPipeline", "FluxKontextPipeline"))
    return path


def save_toy_chroma(folder: Path, *, seed: int = 0, vae_width: int = 8) -> Path:
    """Write a toy Chroma (8 pixels a latent cell, patches of 2 x 2 cells) and return its folder."""
    torch.manual_seed(seed)
    pipeline = ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=_vae(vae_width),
        text_encoder=T5EncoderModel(_t5_config()).eval(),
        tokenizer=make_t5_tokenizer(),
        transformer=ChromaTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=32,
            num_attention_heads=2,
            joint_attention_dim=TEXT_WIDTH,
            axes_dims_rope=(4, 14, 14),
            approximator_num_channels=16,
            approximator_hidden_dim=64,
            approximator_layers=1,
        ),
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def save_toy_sd3(folder: Path, *, seed: int = 0, vae_width: int = 8, sizes: Sizes = TOY) -> Path:
    """Write a toy Stable Diffusion 3.5 (8 pixels a latent cell, patches of 2 x 2 cells) and return its folder.

    `sizes`: as for `save_toy_flux`. Its VAE has the real scale then, and CLIP is summed up as the real CLIP-L is.
    """
    torch.manual_seed(seed)
    build = _clip_config if sizes is TOY else _real_clip_config
    clips = [CLIPTextModelWithProjection(build(width)).eval() for width in (sizes.width, sizes.second_width)]
    vae = _vae(vae_width)
    if sizes is not TOY:
        vae.register_to_config(scaling_factor=1.5305, shift_factor=0.0609)
        for clip in clips:
            torch.nn.init.eye_(clip.text_projection.weight)
    pipeline = StableDiffusion3Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=clips[0],
        tokenizer=make_tokenizer(folder / "letters", sizes),
        text_encoder_2=clips[1],
        tokenizer_2=make_tokenizer(folder / "more letters", sizes),
        text_encoder_3=T5EncoderModel(_t5_config()).eval(),
        tokenizer_3=make_t5_tokenizer(),
        transformer=SD3Transformer2DModel(
            sample_size=32,
            in_channels=16,
            num_layers=2,
            attention_head_dim=32,
            num_attention_heads=2,
            caption_projection_dim=64,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=sizes.width + sizes.second_width,
            pos_embed_max_size=48,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
    )
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def toy_flow_model(path: Path, family: str, *, name: str = "toy", **parts: Any) -> Model:
    """A catalogue entry for a toy."""
    is_embedded = FAMILIES[family].defaults.embeds_guidance
    defaults = Defaults(steps=4, guidance=4.0, sampler="Euler", native_px=SIDE_PX, embeds_guidance=is_embedded)
    return Model(name=name, path=path, family=family, licence="none", defaults=defaults, **parts)


def _vae_blocks(width: int) -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (width,) * 4,
        "norm_num_groups": 32 if width >= 32 else 4,
    }


def _vae(width: int) -> AutoencoderKL:
    return AutoencoderKL(
        **_vae_blocks(width),
        latent_channels=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1159,
        scaling_factor=0.3611,
    )


def _text_config(*, layers: int) -> Qwen3Config:
    return Qwen3Config(
        hidden_size=TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=260,
        max_position_embeddings=1024,
        rope_theta=1_000_000,
    )


def _clip_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=NUM_LETTER_WORDS,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=NUM_LETTER_WORDS - 2,
        eos_token_id=NUM_LETTER_WORDS - 1,
        pad_token_id=NUM_LETTER_WORDS - 1,
    )


def _real_clip_config(width: int) -> CLIPTextConfig:
    num_words = len(build_vocabulary())
    return CLIPTextConfig(
        vocab_size=num_words,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=width // 64,
        bos_token_id=num_words - 2,
        eos_token_id=num_words - 1,
        pad_token_id=num_words - 1,
    )


def _t5_config() -> T5Config:
    return T5Config(
        vocab_size=100,
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        tie_word_embeddings=False,
    )


def make_t5_tokenizer() -> T5TokenizerFast:
    """One token a printable letter, and the marks of T5."""
    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    letters += [(chr(code), -2.0) for code in range(33, 127)]
    return T5TokenizerFast(vocab=letters, extra_ids=0)


def make_flow_tokenizer(folder: Path, pieces: tuple[str, ...] = ()) -> Qwen2TokenizerFast:
    """One token a byte, without merges, the marks of a chat, and one token for each of some pieces of text."""
    folder.mkdir(parents=True)
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=letters, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.save(str(folder / "tokenizer.json"))
    tokenizer = Qwen2TokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>", *pieces],
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def read_tokens(folder: Path) -> dict[str, Any]:
    """Return the tokenizer's file of a toy."""
    found: dict[str, Any] = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())
    return found
