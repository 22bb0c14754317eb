"""Pictures with LoRA of every kind: what stock diffusers paints with LyCORIS's merged weights, exact in company."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

from generation.engine.engine import Engine
from generation.requests.prompt_addons import Adapter, PromptAddon
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_exact import crowd
from tests.generation.engine.test_stock import MAX_LEVELS_APART, load_stock, stock_picture
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_extras import an_extra, called, kohya_lora
from tests.generation.engine.toy_lycoris import CONVOLUTION, LINEAR, STRIDED, WIDER, make_lycoris, save_lycoris

MIXED = {LINEAR: "DoRA", WIDER: "LoKr, whole", CONVOLUTION: "DoRA of columns", STRIDED: "LoCon, Tucker"}
"""A kind by layer, in one file. (Of these LyCORIS merges what it trains; of others `alpha` twice.)"""


@pytest.fixture(scope="module")
def net(toy_folder: Path) -> nn.Module:
    return UNet2DConditionModel.from_pretrained(toy_folder / "unet").eval()


def make_mixed(net: nn.Module) -> dict[str, Any]:
    return {
        layer: make_lycoris(kind, net, layers=(layer,), seed=index)[layer]
        for index, (layer, kind) in enumerate(MIXED.items())
    }


def an_engine(toy_folder: Path, loras: tuple[PromptAddon, ...], dtype: str = "float32") -> Engine:
    return Engine([toy_model(toy_folder, loras=loras)], EngineSettings(num_threads=1, dtype=dtype))


def test_a_picture_is_that_of_the_merged_weights(toy_folder: Path, tmp_path: Path, net: nn.Module) -> None:
    made = make_mixed(net)
    lora = save_lycoris(tmp_path / "mixed.safetensors", made)
    stock = load_stock(toy_folder)
    with torch.no_grad():
        for layer, module in made.items():
            stock.unet.get_parameter(f"{layer}.weight").copy_(module.get_merged_weight()[0])
    spec = a_spec(adapters=(called(lora),))
    engine = an_engine(toy_folder, (lora,))
    before = paint(engine, an_order())
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, a_spec())).max() <= MAX_LEVELS_APART
    assert np.abs(ours - as_array(before)).max() > 5, "the control: it changes the picture"
    assert paint(engine, an_order()).pixels == before.pixels


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_in_a_crowd_of_all_kinds_every_picture_is_exact(
    toy_folder: Path, tmp_path: Path, net: nn.Module, dtype: str
) -> None:
    """Other kinds, other weights, another order, none: replayed alone by an engine that saw nothing of it."""
    kinds = ("LoHa of high rank", "LoKr of four", "LoHa, Tucker")
    made = [make_lycoris(kind, net, seed=seed) for seed, kind in enumerate(kinds)]
    loha, lokr, tucker = (save_lycoris(tmp_path / f"{index}.safetensors", each) for index, each in enumerate(made))
    mixed = save_lycoris(tmp_path / "mixed.safetensors", make_mixed(net))
    plain = kohya_lora(tmp_path / "plain.safetensors")
    loras = (loha, lokr, tucker, mixed, plain)
    choices: list[tuple[Adapter, ...]] = [
        (),
        (called(loha, 0.3),),
        (called(lokr, 0.5), called(mixed, 0.4)),
        (called(mixed, 0.4), called(lokr, 0.5)),
        (called(plain, 0.5), called(mixed, 0.4), called(tucker, 0.2)),
    ]
    rng = random.Random(5)
    orders = [
        an_order(a_spec(adapters=choice, seed=seed, steps=3), image_id=f"{seed}-{index}")
        for seed in range(2)
        for index, choice in enumerate(choices)
    ]
    crowded = crowd(an_engine(toy_folder, loras, dtype), orders, rng)
    fresh = an_engine(toy_folder, loras, dtype)
    for order in orders:
        alone = paint(fresh, an_order(order.spec, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels, order.spec
    assert len({end.pixels for end in crowded.values()}) > len(orders) // 2


def test_the_text_encoder_takes_part(toy_folder: Path, tmp_path: Path) -> None:
    """A LoKr of its attention, by the names of kohya's scripts and of PEFT: the same picture, and not the plain one."""
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    flat = layer.replace(".", "_")
    random_numbers = torch.Generator().manual_seed(0)
    factors = {part: torch.randn(4, 4, generator=random_numbers) for part in ("lokr_w1", "lokr_w2")}
    loras: list[Any] = []
    for name in (f"lora_te_{flat}", f"lora_te1_{flat}", f"lycoris_{flat}", f"base_model.model.{layer}"):
        path = tmp_path / f"{len(loras)}.safetensors"
        save_file({f"{name}.{part}": tensor for part, tensor in factors.items()}, path)
        loras.append(an_extra(path))
    engine = an_engine(toy_folder, tuple(loras))
    pictures = {paint(engine, an_order(a_spec(adapters=(called(lora),)))).pixels for lora in loras}
    assert len(pictures) == 1 and paint(engine, an_order()).pixels not in pictures
