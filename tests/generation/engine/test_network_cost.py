"""The price table equals what PyTorch counts in the real networks: full size, on the meta device, without weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPTextConfig,
    Ministral3Config,
    PreTrainedConfig,
    Qwen2_5_VLTextConfig,
    Qwen3Config,
    Qwen3VLTextConfig,
    T5Config,
)

from bench._full_flow import KL, KLEIN, KLEIN_9B, QWEN3_4B
from bench._random_model import save_toy_of
from generation.engine import counted_work
from generation.engine.counted_work import count_work
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.families import FAMILIES
from generation.engine.families.base import Family
from generation.engine.language_text import Chat, LanguageText
from generation.engine.offload import list_networks
from generation.engine.single_file import open_model
from generation.engine.slot import Slot
from generation.engine.step_cache import caching, watch_blocks
from generation.models.catalog import Model
from generation.requests.cost import STANDARD_OPERATIONS, WORK
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order
from tests.generation.engine.toy import SECOND_WIDTH, WIDTH, save_toy_xl, toy_model
from tests.generation.engine.toy_qwen import save_toy_krea2

SIXTY_TOKENS = "a harbour " * 7
"""By the toys' word lists, which have letters. A language model reads a few more around it."""
_ATTENDS, _PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
STABLE_DIFFUSION: dict[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8}
STABLE_DIFFUSION_2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
XL: dict[str, Any] = {
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": (_PLAIN, _ATTENDS, _ATTENDS),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_CLIP_L = CLIPTextConfig(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, attn_implementation="sdpa"
)
_CLIP_G = CLIPTextConfig(
    hidden_size=1280,
    intermediate_size=5120,
    num_hidden_layers=32,
    num_attention_heads=20,
    projection_dim=1280,
    attn_implementation="sdpa",
)
_KL_4 = KL | {"latent_channels": 4, "use_quant_conv": True, "use_post_quant_conv": True}
_KL_16 = KL | {"scaling_factor": 0.3611, "shift_factor": 0.1159}
_T5_XXL = T5Config(
    vocab_size=32128, d_model=4096, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
)
_QWEN = Qwen3Config(**QWEN3_4B, attn_implementation="sdpa")
_QWEN_8B = Qwen3Config(**QWEN3_4B | {"hidden_size": 4096, "intermediate_size": 12288}, attn_implementation="sdpa")
_QWEN_VL = Qwen2_5_VLTextConfig(
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    attn_implementation="sdpa",
)
_QWEN3_VL = Qwen3VLTextConfig(**QWEN3_4B, attn_implementation="sdpa")
SD3: dict[str, Any] = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}
SD3_LARGE: dict[str, Any] = {
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "pos_embed_max_size": 192,
    "qk_norm": "rms_norm",
}
_OF_SD3: dict[str, Any] = {
    "AutoencoderKL": _KL_16,
    f"CLIPTextModelWithProjection {WIDTH}": CLIPTextConfig(**_CLIP_L.to_dict() | {"projection_dim": 768}),
    f"CLIPTextModelWithProjection {SECOND_WIDTH}": _CLIP_G,
    "T5EncoderModel": _T5_XXL,
}
"""Its two CLIP, which are of one class, by their widths in the toy."""
_MINISTRAL_3B = Ministral3Config(
    hidden_size=3072,
    intermediate_size=9216,
    num_hidden_layers=26,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    attn_implementation="sdpa",
)
FULL_SIZE: Mapping[str, Mapping[str, Any]] = {
    "sd": {"UNet2DConditionModel": STABLE_DIFFUSION, "AutoencoderKL": _KL_4, "CLIPTextModel": _CLIP_L},
    "sdxl": {
        "UNet2DConditionModel": XL,
        "AutoencoderKL": _KL_4,
        "CLIPTextModel": _CLIP_L,
        "CLIPTextModelWithProjection": _CLIP_G,
    },
    "zimage": {
        "ZImageTransformer2DModel": {},  # its own settings are those of the 6 B model
        "AutoencoderKL": _KL_16,
        "Qwen3Model": _QWEN,
    },
    "qwenimage": {
        "QwenImageTransformer2DModel": {},  # its own settings are those of the 20 B model
        "AutoencoderKLQwenImage": {},
        "Qwen2_5_VLTextModel": _QWEN_VL,
    },
    "ernie": {
        "ErnieImageTransformer2DModel": {
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_layers": 36,
            "ffn_hidden_size": 12288,
            "text_in_dim": 3072,
        },
        "AutoencoderKLFlux2": {},
        "Ministral3Model": _MINISTRAL_3B,
    },
    "krea2": {
        "Krea2Transformer2DModel": {},  # its own settings are those of the 12.8 B model
        "AutoencoderKLQwenImage": {},
        "Qwen3VLTextModel": _QWEN3_VL,
    },
    "flux": {
        "FluxTransformer2DModel": {"guidance_embeds": True},  # its own settings are those of the 12 B model
        "AutoencoderKL": _KL_16,
        "CLIPTextModel": _CLIP_L,
        "T5EncoderModel": _T5_XXL,
    },
    "chroma": {
        "ChromaTransformer2DModel": {},  # its own settings are those of the 8.9 B model
        "AutoencoderKL": _KL_16,
        "T5EncoderModel": _T5_XXL,
    },
    "sd3": {"SD3Transformer2DModel": SD3, **_OF_SD3},
    "sd3large": {"SD3Transformer2DModel": SD3_LARGE, **_OF_SD3},
    "klein": {"Flux2Transformer2DModel": KLEIN, "AutoencoderKLFlux2": {}, "Qwen3Model": _QWEN},
    "klein9b": {"Flux2Transformer2DModel": KLEIN_9B, "AutoencoderKLFlux2": {}, "Qwen3Model": _QWEN_8B},
}
"""The settings of each family's networks as published, by class, where they are not its defaults."""


SHALLOW = {
    "zimage": (9.3, 31),
    "qwenimage": (1.7, 24),
    "ernie": (2.8, 33),
    "krea2": (5.3, 54),
    "flux": (1.8, 24),
    "chroma": (2.0, 24),
    "sd3": (5.0, 12),
    "sd3large": (2.7, 19),
    "klein": (4.1, 24),
    "klein9b": (3.2, 32),
}
"""Operations of a shallow forward, in % of a whole one; MiB that a row keeps."""


def count(unet: Any, side_px: int, **inputs: Any) -> int:
    """Floating point operations of one row."""
    added = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
    with FlopCounterMode(display=False) as counter:
        unet(
            torch.zeros(1, 4, side_px // 8, side_px // 8),
            torch.zeros(1),
            encoder_hidden_states=torch.zeros(1, 77, unet.config.cross_attention_dim),
            added_cond_kwargs=added,
            **inputs,
        )
    return counter.get_total_flops()


def load_full_size(family: str, toy: str, folder: Path) -> tuple[Model, Family]:
    """Return the family as the engine loads its toy, with networks of full size in the places of the toy's."""
    path = save_toy_krea2(folder) if toy == "krea2" else save_toy_of(toy, folder)  # the benchmarks' reads fewer layers
    model = toy_model(path, family=family)
    device = Device(torch.device("cpu"), torch.float32, 1)
    loaded = FAMILIES[family](model, open_model(model), device, EngineSettings())
    for network in list_networks(loaded):
        name = type(network).__name__
        width = getattr(network.config, "hidden_size", 0)
        settings = FULL_SIZE[family].get(f"{name} {width}", FULL_SIZE[family].get(name, {}))
        with torch.device("meta"):
            full = type(network)(settings) if isinstance(settings, PreTrainedConfig) else type(network)(**settings)
        network.__dict__ = full.__dict__
    if isinstance(text := getattr(loaded, "_text", None), LanguageText):
        unseen = text.unseen  # and eight more, as by the published word list
        text._chat = Chat("<|im_start|>" + "-" * unseen, "-------", unseen)
    return model, loaded


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name == "klein" else pytest.mark.long) for name in FULL_SIZE]
)
def test_prices_are_the_operations_counted(family: str, tmp_path: Path) -> None:
    """What is counted of a model when it is added is what the table says of the published one."""
    toy = {"klein9b": "klein", "sd3large": "sd3"}.get(family, family)
    counted, known = count_work(*load_full_size(family, toy, tmp_path), prompt=SIXTY_TOKENS), WORK[family]
    for side_px in (256, 512, 1536):
        assert known.of(side_px, side_px) == pytest.approx(counted.of(side_px, side_px), rel=0.01), side_px
    assert known.text == pytest.approx(counted.text, rel=0.02, abs=0.01)
    assert (known.decode, known.encode) == pytest.approx((counted.decode, counted.encode), rel=0.01)
    assert counted.control == known.control


@pytest.mark.long
@pytest.mark.parametrize("family", [name for name in FULL_SIZE if name not in ("sd", "sdxl")])
def test_a_shallow_forward_of_the_step_cache_takes_little_of_a_whole_one(family: str, tmp_path: Path) -> None:
    """At 1024 pixels: what docs/performance.md says."""
    toy = {"klein9b": "klein", "sd3large": "sd3"}.get(family, family)
    model, loaded = load_full_size(family, toy, tmp_path)
    for network in list_networks(loaded):
        counted_work._empty(network)
    lists = ("transformer_blocks", "single_transformer_blocks", "layers")
    there = [name for name in lists if hasattr(loaded.denoiser, name)]
    watch_blocks(loaded.denoiser, *there, rows_axis=int(family == "ernie"))
    with torch.inference_mode(), counted_work._without_autocast(), counted_work._Unknown():  # type: ignore[no-untyped-call]
        spec = counted_work._make_spec(model, SIXTY_TOKENS)
        _, conditioning = counted_work._count(lambda: loaded.condition(spec, loaded.tokenize(spec)))
        with caching(None, keeps=True) as kept:
            whole, _ = counted_work._count(lambda: counted_work._denoise(loaded, 1024, conditioning))
        with caching(kept[0], keeps=False):
            shallow, _ = counted_work._count(lambda: counted_work._denoise(loaded, 1024, conditioning))
    share, mebibytes = SHALLOW[family]
    assert 100 * shallow / whole == pytest.approx(share, abs=0.06)
    assert kept[0].numel() * 2 / 2**20 == pytest.approx(mebibytes, abs=0.5), "in two bytes a number"


@pytest.mark.long
def test_stable_diffusion_2_is_counted_as_1() -> None:
    with torch.device("meta"):
        for side_px in (256, 512, 1536):
            counted = count(UNet2DConditionModel(**STABLE_DIFFUSION_2), side_px) / STANDARD_OPERATIONS
            assert WORK["sd"].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_standard_is_an_evaluation_by_stable_diffusion_at_512() -> None:
    with torch.device("meta"):
        assert count(UNet2DConditionModel(**STABLE_DIFFUSION), 512) == STANDARD_OPERATIONS


@pytest.mark.parametrize(
    ("family", "settings"),
    [("sd", STABLE_DIFFUSION), pytest.param("sdxl", XL, marks=pytest.mark.long)],
    ids=["1.5", "XL"],
)
def test_the_price_of_a_controlnet_is_the_operations_counted(family: str, settings: dict[str, Any]) -> None:
    own = {name: value for name, value in settings.items() if name != "up_block_types"}
    with torch.device("meta"):
        network = ControlNetModel(**own)
        for side_px in (256, 512, 1536):
            counted = count(network, side_px, controlnet_cond=torch.zeros(1, 3, side_px, side_px)) / STANDARD_OPERATIONS
            assert WORK[family].of_control(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_engine_charges_a_step_as_the_ledger_does(tmp_path: Any) -> None:
    folder = save_toy_xl(tmp_path)
    engine = Engine([toy_model(folder, family="sdxl")], EngineSettings(num_threads=1))
    engine.admit(an_order(a_spec(width_px=512, height_px=512)))
    [slot] = engine._slots.values()
    assert isinstance(slot, Slot)
    assert slot.charge == pytest.approx(2 * 1000 * WORK["sdxl"].of(512, 512), abs=1)
