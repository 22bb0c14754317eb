"""LoRA that change the CLIP beside a transformer: of FLUX.1 its one, of Stable Diffusion 3.5 both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished
from generation.requests.prompt_addons import PromptAddon
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import an_order, as_array, ends, paint, run
from tests.generation.engine.test_flow_families import TOYS
from tests.generation.engine.test_flow_lora import STOCK, a_flow_spec, levels_apart, paint_stock
from tests.generation.engine.toy_extras import called
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_flow_lora import write_addon

Layers = Mapping[str, tuple[str, int]]
"""Layers by kohya's names: their part and name in the stock pipeline, and how wide they are."""
_KOHYA, _STOCK = "text_model_encoder_layers_{}_self_attn_{}_proj", "encoder.layers.{}.self_attn.{}_proj"
CHANGED: Mapping[str, Layers] = {
    "flux": {
        "lora_unet_double_blocks_0_img_attn_proj": ("transformer.transformer_blocks.0.attn.to_out.0", 64),
        f"lora_te1_{_KOHYA.format(0, 'q')}": (f"text_encoder.{_STOCK.format(0, 'q')}", 32),
        f"lora_te1_{_KOHYA.format(1, 'v')}": (f"text_encoder.{_STOCK.format(1, 'v')}", 32),
    },
    "sd3": {
        "lora_unet_joint_blocks_0_x_block_attn_proj": ("transformer.transformer_blocks.0.attn.to_out.0", 64),
        f"lora_te1_{_KOHYA.format(0, 'v')}": (f"text_encoder.{_STOCK.format(0, 'v')}", 16),
        f"lora_te2_{_KOHYA.format(0, 'out')}": (f"text_encoder_2.{_STOCK.format(0, 'out')}", 24),
    },
}
WRITTEN: Mapping[str, tuple[str, str, str]] = {
    "diffusers": ("transformer", "text_encoder{}.text_model", ""),
    "ComfyUI": ("diffusion_model", "text_encoders.clip_{}.transformer.text_model", "lg"),
}
"""How tools write the parts: the transformer, each CLIP, and what tells the two apart."""


def write(path: Path, family: str, tool: str, *, without_text: bool = False) -> PromptAddon:
    """Write the same matrices under the names of a tool, with an alpha of half the rank."""
    draw, tensors = torch.Generator().manual_seed(0), dict[str, torch.Tensor]()
    for kohya, (stock, width) in CHANGED[family].items():
        down, up = (0.5 * torch.randn(*shape, generator=draw) for shape in ((4, width), (width, 4)))
        if without_text and kohya.startswith("lora_te"):
            continue
        name = kohya if tool == "kohya" else name_for(tool, stock)
        ends_with = ("lora_down", "lora_up") if tool == "kohya" else ("lora_A", "lora_B")
        tensors |= {f"{name}.{end}.weight": each for end, each in zip(ends_with, (down, up), strict=True)}
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    return write_addon(path, tensors)


def name_for(tool: str, stock: str) -> str:
    transformer, clip, which = WRITTEN[tool]
    part, _, layer = stock.partition(".")
    if part == "transformer":
        return f"{transformer}.{layer}"
    number = int(part == "text_encoder_2")
    return f"{clip.format(which[number] if which else ('', '_2')[number])}.{layer}"


def fold(pipeline: Any, family: str, path: Path, weight: float) -> None:
    """Add a LoRA of kohya's names to the weights of a stock pipeline. Its loader does not reach every CLIP here."""
    tensors = load_file(path)
    for kohya, (stock, _) in CHANGED[family].items():
        part, _, layer = stock.partition(".")
        network = getattr(pipeline, part)
        network = getattr(network, "text_model", network)
        change = tensors[f"{kohya}.lora_up.weight"] @ tensors[f"{kohya}.lora_down.weight"]
        network.get_submodule(layer).weight.data += weight * 0.5 * change


@pytest.mark.parametrize("family", ["flux", pytest.param("sd3", marks=pytest.mark.long)])
def test_clip_is_changed_as_in_the_stock_pipeline_and_apart_in_a_crowd(family: str, tmp_path: Path) -> None:
    """Against weights with the change added, float32: at most one of 255 levels. Every tool's names say the same."""
    folder = TOYS[family](tmp_path)
    kohya, *others = (write(tmp_path / f"{tool}.safetensors", family, tool) for tool in ("kohya", *WRITTEN))
    bare = write(tmp_path / "bare.safetensors", family, "kohya", without_text=True)
    model = replace(toy_flow_model(folder, family), loras=(kohya, *others, bare))
    engine = Engine([model], EngineSettings(num_threads=1))
    kinds = [(), (called(kohya, 0.7),), (called(bare, 0.7),), *((called(each, 0.7),) for each in others)]
    orders = [an_order(a_flow_spec(*each, guidance=1.0), image_id=f"{n}-0") for n, each in enumerate(kinds)]
    crowd = ends(run(engine, *orders))
    pictures = []
    for order in orders:
        end = crowd[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels
        pictures.append(as_array(end))
    without, ours, of_transformer, *same = pictures
    stock = STOCK[family].from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    assert levels_apart(without, paint_stock(stock, family, orders[0].spec)) <= 1
    fold(stock, family, kohya.path, 0.7)
    assert levels_apart(ours, paint_stock(stock, family, orders[1].spec)) <= 1
    assert all(levels_apart(ours, each) <= 1 for each in same)
    assert levels_apart(ours, of_transformer) > 5, "the control: CLIP matters"
