"""LoRA of transformers: every tool's names, beside the stock pipelines, and exact in a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaPipeline,
    ErnieImagePipeline,
    Flux2KleinPipeline,
    FluxPipeline,
    Krea2Pipeline,
    QwenImagePipeline,
    StableDiffusion3Pipeline,
    ZImagePipeline,
)
from torch import Tensor

from generation.engine.engine import Engine
from generation.engine.offload import PartOffloader
from generation.engine.samplers import build_flow_scheduler
from generation.jobs.protocol import Finished, ImageFailed
from generation.models.catalog import Model
from generation.requests.prompt_addons import Adapter, PromptAddon
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.test_flow_families import TOYS, UNGUIDED
from tests.generation.engine.toy_extras import called
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_flow_lora import AUTHORS, DIFFUSERS, PREFIXES, write_addon, write_flow_lora
from tests.generation.engine.toy_flow_lora_by_hand import changes_by_hand, share_by_hand

STOCK: Mapping[str, Any] = {
    "zimage": ZImagePipeline,
    "klein": Flux2KleinPipeline,
    "qwenimage": QwenImagePipeline,
    "flux": FluxPipeline,
    "chroma": ChromaPipeline,
    "sd3": StableDiffusion3Pipeline,
    "krea2": Krea2Pipeline,
    "ernie": ErnieImagePipeline,
}
IN_SHORT = ("zimage", "klein", "flux", "sd3")
"""Families of a short run."""
BY_STOCK: Mapping[str, Collection[str]] = {
    **dict.fromkeys(("zimage", "klein", "qwenimage"), ("ComfyUI", "diffusers", "kohya")),
    **dict.fromkeys(("flux", "chroma"), ("kohya", "diffusers")),
    **dict.fromkeys(("sd3", "ernie"), ("diffusers",)),
    "krea2": ("ComfyUI", "diffusers"),
}
"""Tools whose names the stock loader reads as well, the one of a short run first."""
NOT_BY_STOCK = {
    "zimage": ("qkv", "x_embedder", "final_layer", "all_", "cap_"),
    "klein": ("final_layer.adaLN",),
    "flux": ("linear1", "final_layer", "_in"),
    "chroma": ("linear1", "distilled"),
}
"""Layers that the stock loader does not read, or otherwise, under authors' names: it takes FLUX.1 to be 3072 wide, and
leaves out its layers beside the blocks; it has not all layers of Z-Image, and does not swap halves of FLUX.2."""
SHORT = ("ComfyUI", "kohya")
"""Tools whose names are enough in a short run."""


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=[pytest.mark.long] * (each not in IN_SHORT)) for each in STOCK]
)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TOYS[family](tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def model(folder: Path, family: str) -> Model:
    return toy_flow_model(folder, family)


@pytest.fixture(scope="module")
def engine(model: Model) -> Engine:
    return Engine([model], EngineSettings(num_threads=1))


@pytest.fixture
def stock(folder: Path, family: str) -> Any:
    pipeline = STOCK[family].from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def a_flow_spec(*loras: Adapter, **changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler", "adapters": loras, "steps": 2} | changes)


def offer(engine: Engine, model: Model, *loras: PromptAddon) -> None:
    engine.update((replace(model, loras=loras),))


def paint_stock(stock: Any, family: str, spec: ImageSpec) -> np.ndarray:
    stock.scheduler = build_flow_scheduler("Euler", stock.scheduler.config)
    pictures = stock(
        prompt=spec.prompt,
        num_inference_steps=spec.steps,
        **UNGUIDED[family],
        generator=torch.Generator().manual_seed(spec.seed),
        width=spec.width_px,
        height=spec.height_px,
        output_type="np",
    ).images
    return (pictures[0] * 255).round().astype(int)


def levels_apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one - other).max())


@pytest.mark.parametrize("which", [0, *(pytest.param(each, marks=pytest.mark.long) for each in (1, 2))])
def test_a_lora_changes_what_it_changes_in_the_stock_pipeline(
    engine: Engine, model: Model, family: str, stock: Any, tmp_path: Path, which: int
) -> None:
    """At a weight of its own, float32. The difference is at most one of 255 levels."""
    if which >= len(BY_STOCK[family]):
        pytest.skip("the stock loader reads fewer names")
    tool = tuple(BY_STOCK[family])[which]
    layers = DIFFUSERS[family] if tool == "diffusers" else _read_by_both(family)
    lora = write_flow_lora(tmp_path / f"{tool}.safetensors", layers, tool)
    offer(engine, model, lora)
    spec = a_flow_spec(called(lora, 0.7), guidance=1.0)
    ours, without = (as_array(paint(engine, an_order(each))) for each in (spec, replace(spec, adapters=())))
    stock.load_lora_weights(str(lora.path), adapter_name="one")
    stock.set_adapters(["one"], [0.7])
    apart = levels_apart(ours, paint_stock(stock, family, spec))
    assert apart <= 1, f"{family}, {tool}"
    assert levels_apart(ours, without) > 5, "the control: it changes the picture"


def _read_by_both(family: str) -> dict[str, tuple[int, int]]:
    """Return layers that the stock loader knows under the names of a tool."""
    layers = DIFFUSERS[family] if family == "zimage" else AUTHORS[family]
    unread = NOT_BY_STOCK.get(family, ())
    return {name: sizes for name, sizes in layers.items() if not any(part in name for part in unread)}


@pytest.mark.parametrize(
    "tool", [*SHORT, *(pytest.param(each, marks=pytest.mark.long) for each in sorted(PREFIXES.keys() - SHORT))]
)
@pytest.mark.parametrize("names", ["diffusers", "authors"])
def test_every_tool_s_names_reach_the_same_layers(
    engine: Engine, model: Model, family: str, tmp_path: Path, tool: str, names: str
) -> None:
    """Against the weights themselves with the change added, whose halves and thirds are found by hand."""
    layers = (DIFFUSERS if names == "diffusers" else AUTHORS)[family]
    lora = write_flow_lora(tmp_path / "one.safetensors", layers, tool, rank=4, alpha=4.0)
    offer(engine, model, lora)
    network = engine._models.get("toy").family
    network.use((called(lora, 1.0),))
    for layer, change in changes_by_hand(lora.path, family, PREFIXES[tool], layers).items():
        beside = network.denoiser.get_submodule(layer)
        x = torch.randn(2, 5, change.shape[1], generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = beside.base_layer(x) + x @ change.T
            assert torch.allclose(beside(x), expected, atol=1e-5), layer
    network.use(())


QKV = {
    "zimage": ("layers.0.attention.qkv", 128),
    "klein": ("double_blocks.0.img_attn.qkv", 64),
    "flux": ("double_blocks.0.txt_attn.qkv", 64),
    "chroma": ("double_blocks.0.img_attn.qkv", 64),
    "sd3": ("joint_blocks.0.x_block.attn2.qkv", 64),
}


def kinds_of_fused(family: str) -> dict[str, tuple[dict[str, Tensor], Tensor]]:
    """Return a LoHa, LoKr and DoRA of the layer that diffusers has in three, and the change that each should be."""
    name, width = QKV[family]
    draw = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=draw)

    loha = {"hada_w1_a": some(3 * width, 2), "hada_w1_b": some(2, width)}
    loha |= {"hada_w2_a": some(3 * width, 2), "hada_w2_b": some(2, width)}
    lokr = {"lokr_w1": some(16, 8), "lokr_w2": some(3 * width // 16, width // 8)}  # 16 rows make no thirds
    kinds = {
        "LoHa": (loha, loha["hada_w1_a"] @ loha["hada_w1_b"] * (loha["hada_w2_a"] @ loha["hada_w2_b"])),
        "LoKr": (lokr, torch.kron(lokr["lokr_w1"], lokr["lokr_w2"])),
    }
    return {
        kind: ({f"diffusion_model.{name}.{part}": each for part, each in parts.items()}, change)
        for kind, (parts, change) in kinds.items()
    }


@pytest.mark.parametrize("kind", ["LoHa", "LoKr"])
def test_a_fused_layer_of_other_kinds_is_taken_apart(
    engine: Engine, model: Model, family: str, tmp_path: Path, kind: str
) -> None:
    if family not in QKV:
        pytest.skip("no layer of it is fused")
    tensors, change = kinds_of_fused(family)[kind]
    lora = write_addon(tmp_path / "one.safetensors", tensors)
    offer(engine, model, lora)
    network = engine._models.get("toy").family
    network.use((called(lora, 1.0),))
    for layer, part in share_by_hand(QKV[family][0], family, change).items():
        beside = network.denoiser.get_submodule(layer)
        x = torch.randn(2, 5, part.shape[1], generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            assert torch.allclose(beside(x), beside.base_layer(x) + x @ part.T, atol=1e-4), layer
    network.use(())


def test_lengths_of_columns_of_a_fused_layer_are_refused(
    engine: Engine, model: Model, family: str, tmp_path: Path
) -> None:
    if family not in QKV:
        pytest.skip("no layer of it is fused")
    name, width = QKV[family]
    tensors = {f"diffusion_model.{name}.lora_A.weight": torch.ones(4, width)}
    tensors |= {f"diffusion_model.{name}.lora_B.weight": torch.ones(3 * width, 4)}
    tensors |= {f"diffusion_model.{name}.dora_scale": torch.ones(1, width)}
    lora = write_addon(tmp_path / "one.safetensors", tensors)
    offer(engine, model, lora)
    (end,) = ends(run(engine, an_order(a_flow_spec(called(lora))))).values()
    assert isinstance(end, ImageFailed) and "DoRA of columns" in end.message


@pytest.mark.parametrize(
    ("dtype", "storage"),
    [("float32", "fp8")]
    + [
        pytest.param(*each, marks=pytest.mark.long) for each in (("float32", ""), ("bfloat16", ""), ("bfloat16", "fp8"))
    ],
)
def test_a_crowd_with_and_without_lora_is_replayed_to_the_byte(
    model: Model, family: str, tmp_path: Path, dtype: str, storage: str
) -> None:
    """Weights in fp8 stay so beneath a LoRA, and without it the picture is what it was before any was loaded."""
    one = write_flow_lora(tmp_path / "one.safetensors", DIFFUSERS[family], "diffusers")
    two = write_flow_lora(tmp_path / "two.safetensors", AUTHORS[family], "kohya")
    offered = replace(model, loras=(one, two), storage=storage)
    engine = Engine([offered], EngineSettings(dtype=dtype, num_threads=1))
    plain = paint(engine, an_order(a_flow_spec()))
    kinds = [(), (called(one, 0.7),), (called(two),), (called(one, -0.5), called(two, 1.2)), ()]
    orders = [an_order(a_flow_spec(*each, seed=index), image_id=f"{index}-0") for index, each in enumerate(kinds)]
    crowd = ends(run(engine, *orders))
    seen = set()
    for order in orders:
        end = crowd[order.image_id]
        assert isinstance(end, Finished), end
        seen.add(end.pixels)
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels
    assert len(seen) == len(orders)
    assert paint(engine, an_order(a_flow_spec(), replay=plain.trace)).pixels == plain.pixels
    kept = {str(weight.dtype) for weight in engine._models.get("toy").family.denoiser.parameters()}
    assert ("torch.float8_e4m3fn" in kept) == bool(storage)


def test_a_lora_of_another_family_ends_the_picture_alone(
    engine: Engine, model: Model, family: str, tmp_path: Path
) -> None:
    other = next(each for each in ("zimage", "klein") if each != family)
    lora = write_flow_lora(tmp_path / "one.safetensors", DIFFUSERS[other], "diffusers")
    assert other in lora.family and family not in lora.family.split()
    offer(engine, model, lora)
    orders = (an_order(a_flow_spec(called(lora)), image_id="a-0"), an_order(a_flow_spec(), image_id="b-0"))
    said = ends(run(engine, *orders))
    failed = said["a-0"]
    assert isinstance(failed, ImageFailed) and "another kind of model" in failed.message
    assert isinstance(said["b-0"], Finished)


def test_layers_that_are_fetched_one_by_one_bring_their_lora(
    engine: Engine, model: Model, family: str, tmp_path: Path
) -> None:
    """In memory mode `layers` a hook fetches each layer. What a LoRA puts in later gets one, too."""
    lora = write_flow_lora(tmp_path / "one.safetensors", DIFFUSERS[family], "diffusers")
    offer(engine, model, lora)
    at_once = paint(engine, an_order(a_flow_spec(called(lora), steps=1))).pixels
    streamed = Engine([replace(model, loras=(lora,))], EngineSettings(num_threads=1))
    denoiser = streamed._models.get("toy").family.denoiser
    PartOffloader(torch.device("cpu")).stream(denoiser)
    assert paint(streamed, an_order(a_flow_spec(called(lora), steps=1))).pixels == at_once
    inside: list[Any] = [each for name, each in denoiser.named_modules() if lora.sha256 in name]
    added = [each for each in inside if next(each.parameters(recurse=False), None) is not None]
    assert added and all(each._diffusers_hook.get_hook("group_offloading") is not None for each in added)
