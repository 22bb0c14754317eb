"""The price table equals what PyTorch counts in the real networks: full size, on the meta device, without weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)
from torch.utils.flop_counter import FlopCounterMode

from bench._full_flow import KLEIN, KLEIN_9B
from generation.engine.engine import Engine
from generation.engine.slot import Slot
from generation.requests.cost import WORK
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order
from tests.generation.engine.toy import save_toy_xl, toy_model

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


@cache
def count_standard() -> int:
    """What a price of 1 stands for: Stable Diffusion 1.5 at 512 px."""
    return count(UNet2DConditionModel(**STABLE_DIFFUSION), 512)


@pytest.mark.parametrize(
    ("family", "settings"), [("sd", STABLE_DIFFUSION), ("sd", STABLE_DIFFUSION_2), ("sdxl", XL)], ids=["1.5", "2", "XL"]
)
def test_prices_are_the_operations_counted(family: str, settings: dict[str, Any]) -> None:
    with torch.device("meta"):
        standard = count_standard()
        unet = UNet2DConditionModel(**settings)
        for side_px in (256, 512, 1536):
            counted = count(unet, side_px) / standard
            assert WORK[family].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


@pytest.mark.parametrize(("family", "settings"), [("sd", STABLE_DIFFUSION), ("sdxl", XL)], ids=["1.5", "XL"])
def test_the_price_of_a_controlnet_is_the_operations_counted(family: str, settings: dict[str, Any]) -> None:
    own = {name: value for name, value in settings.items() if name != "up_block_types"}
    with torch.device("meta"):
        standard = count_standard()
        network = ControlNetModel(**own)
        for side_px in (256, 512, 1536):
            counted = count(network, side_px, controlnet_cond=torch.zeros(1, 3, side_px, side_px)) / standard
            assert WORK[family].of_control(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_price_of_zimage_is_the_operations_counted() -> None:
    with torch.device("meta"):
        standard = count_standard()
        transformer = ZImageTransformer2DModel()  # its own settings are those of the 6 B model
        for side_px in (256, 512, 1536):
            latents = [torch.zeros(16, 1, side_px // 8, side_px // 8)]
            with FlopCounterMode(display=False) as counter:
                transformer(latents, torch.zeros(1), [torch.zeros(96, 2560)])
            counted = counter.get_total_flops() / standard
            assert WORK["zimage"].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_price_of_flux_is_the_operations_counted() -> None:
    with torch.device("meta"):
        standard = count_standard()
        transformer = FluxTransformer2DModel(guidance_embeds=True)  # its own settings are those of the 12 B model
        for side_px in (256, 512, 1536):
            tokens = (side_px // 16) ** 2
            with FlopCounterMode(display=False) as counter:
                transformer(
                    hidden_states=torch.zeros(1, tokens, 64),
                    encoder_hidden_states=torch.zeros(1, 512, 4096),
                    pooled_projections=torch.zeros(1, 768),
                    timestep=torch.zeros(1),
                    img_ids=torch.zeros(tokens, 3),
                    txt_ids=torch.zeros(512, 3),
                    guidance=torch.zeros(1),
                )
            counted = counter.get_total_flops() / standard
            assert WORK["flux"].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


@pytest.mark.parametrize(("family", "settings"), [("klein", KLEIN), ("klein9b", KLEIN_9B)])
def test_the_price_of_klein_is_the_operations_counted(family: str, settings: dict[str, Any]) -> None:
    with torch.device("meta"):
        standard = count_standard()
        transformer = Flux2Transformer2DModel(**settings)
        for side_px in (256, 512, 1536):
            tokens = (side_px // 16) ** 2
            with FlopCounterMode(display=False) as counter:
                transformer(
                    hidden_states=torch.zeros(1, tokens, 128),
                    encoder_hidden_states=torch.zeros(1, 512, settings["joint_attention_dim"]),
                    timestep=torch.zeros(1),
                    img_ids=torch.zeros(1, tokens, 4),
                    txt_ids=torch.zeros(1, 512, 4),
                    guidance=None,
                )
            counted = counter.get_total_flops() / standard
            assert WORK[family].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_price_of_qwenimage_is_the_operations_counted() -> None:
    with torch.device("meta"):
        standard = count_standard()
        transformer = QwenImageTransformer2DModel()  # its own settings are those of the 20 B model
        for side_px in (256, 512, 1536):
            cells = side_px // 16
            with FlopCounterMode(display=False) as counter:
                transformer(
                    hidden_states=torch.zeros(1, cells * cells, 64),
                    encoder_hidden_states=torch.zeros(1, 128, 3584),
                    encoder_hidden_states_mask=torch.ones(1, 128, dtype=torch.bool),
                    timestep=torch.zeros(1),
                    img_shapes=[[(1, cells, cells)]],
                )
            counted = counter.get_total_flops() / standard
            assert WORK["qwenimage"].of(side_px, side_px) == pytest.approx(counted, rel=0.01), side_px


def test_the_engine_charges_a_step_as_the_ledger_does(tmp_path: Any) -> None:
    folder = save_toy_xl(tmp_path)
    engine = Engine([toy_model(folder, family="sdxl")], EngineSettings(num_threads=1))
    engine.admit(an_order(a_spec(width_px=512, height_px=512)))
    [slot] = engine._slots.values()
    assert isinstance(slot, Slot)
    assert slot.charge == pytest.approx(2 * 1000 * WORK["sdxl"].of(512, 512), abs=1)
