"""Packed convolutions: the numbers of torch but for rounding, the same bytes whatever ran before, and named."""

from __future__ import annotations

import platform
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generation.engine.devices import Device, choose_device, lay_out
from generation.engine.engine import Engine
from generation.engine.fingerprint import take_fingerprint
from generation.engine.packed_convolutions import PackedConv2d, can_pack, pack
from generation.engine.stored_weights import whole_weight
from generation.requests.edits import Hires
from generation.requests.recipe import Trace
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, paint
from tests.generation.engine.toy import toy_model

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not can_pack(CPU, torch.float32), reason="this processor's convolutions are not packed")
LAYERS: list[dict[str, Any]] = [
    {"in_channels": 4, "out_channels": 48, "kernel_size": 3, "padding": 1},
    {"in_channels": 48, "out_channels": 48, "kernel_size": 3, "stride": 2},
    {"in_channels": 96, "out_channels": 192, "kernel_size": 1},
    {"in_channels": 16, "out_channels": 16, "kernel_size": 3, "padding": 1, "groups": 16},
    {"in_channels": 5, "out_channels": 7, "kernel_size": 3, "padding": 2, "dilation": 2, "bias": False},
    {"in_channels": 320, "out_channels": 4, "kernel_size": (3, 1), "padding": (1, 0)},
]
SIDES = (4, 8, 16, 24)


def packed_like(layer: nn.Conv2d, options: dict[str, Any]) -> Any:
    """Return a packed layer with the weights of another."""
    other = nn.Conv2d(**options)
    other.load_state_dict(layer.state_dict())
    pack([other])
    return other


def picture(options: dict[str, Any], side: int) -> Tensor:
    return torch.randn(2, options["in_channels"], side, side, generator=torch.Generator().manual_seed(side))


@pytest.mark.parametrize("options", LAYERS)
@torch.inference_mode()
def test_numbers_are_those_of_torch_and_the_weights_can_be_read(options: dict[str, Any]) -> None:
    layer = nn.Conv2d(**options)
    packed = packed_like(layer, options)
    assert type(packed) is PackedConv2d
    for side in SIDES:
        torch.testing.assert_close(packed(picture(options, side)), layer(picture(options, side)), rtol=1e-4, atol=1e-5)
    assert torch.equal(whole_weight(packed, torch.float32), layer.weight)
    assert packed.weight.shape == layer.weight.shape and bool(packed.weight.isnan().all()), "no one reads it unnoticed"
    assert packed.weight.untyped_storage().nbytes() < 64, "nor are weights kept twice"


@pytest.mark.parametrize("options", LAYERS[:3])
@torch.inference_mode()
def test_bytes_are_those_of_a_layer_that_saw_nothing_before(options: dict[str, Any]) -> None:
    layer = nn.Conv2d(**options)
    alone = {side: packed_like(layer, options)(picture(options, side)) for side in SIDES}
    for sides in permutations(SIDES):
        packed = packed_like(layer, options)
        for side in sides * 2:
            assert torch.equal(packed(picture(options, side)), alone[side]), sides
        assert len(packed.by_input) == len(SIDES)
        assert len(packed.orders) < len(SIDES), "each order is kept once"


@torch.inference_mode()
def test_sizes_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generation.engine.packed_convolutions._MOST_INPUTS", 3)
    layer = packed_like(nn.Conv2d(**LAYERS[0]), LAYERS[0])
    for side in range(4, 24):
        layer(picture(LAYERS[0], side))
        assert len(layer.by_input) <= 3
    assert len(layer.orders) < 4


def test_only_plain_convolutions_are_packed_and_only_once() -> None:
    class Own(nn.Conv2d):
        pass

    kinds = [nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3, padding="same"), nn.Conv2d(2, 4, 3, padding_mode="reflect")]
    network = nn.ModuleList([*kinds, Own(2, 4, 3), nn.Conv3d(2, 4, 3), nn.Linear(2, 4)])
    lay_out([network], Device(CPU, torch.float32, 1, packs=True))
    assert [type(each).__name__ for each in network] == ["PackedConv2d", "Conv2d", "Conv2d", "Own", "Conv3d", "Linear"]
    before = network[0].orders
    lay_out([network, network], Device(CPU, torch.float32, 1, packs=True))
    assert network[0].orders is before, "two models may have one VAE"


@pytest.mark.parametrize(
    ("settings", "packs"),
    [({}, True), ({"packs_weights": False}, False), ({"dtype": "bfloat16"}, False), ({"memory": "sliced"}, False)],
)
def test_the_trace_says_so_and_the_fingerprint_stays(settings: dict[str, Any], packs: bool, toy_folder: Path) -> None:
    common: dict[str, Any] = {"device": "cpu", "dtype": "float32", "num_threads": 1}
    engine = Engine([toy_model(toy_folder)], EngineSettings(**common | settings))
    trace = Trace.parse(paint(engine, an_order(a_spec())).trace)
    engine.close()
    assert {forward.is_packed for forward in trace.forwards()} == {packs}
    names = take_fingerprint(choose_device(EngineSettings(**common))).facts.keys()
    assert names == take_fingerprint(choose_device(EngineSettings(**common, packs_weights=False))).facts.keys()


def test_other_processors_run_torch_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_pack(torch.device("cuda"), torch.float32)
    with monkeypatch.context() as other:
        other.setattr(platform, "machine", lambda: "arm64")
        assert not can_pack(CPU, torch.float32)
    with monkeypatch.context() as other:
        other.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
        assert not can_pack(CPU, torch.float32)
    assert can_pack(CPU, torch.float32)


SPECS = (
    a_spec(sampler="Euler a", width_px=96),
    a_spec(start=a_start(mask=True)),
    a_spec(hires=Hires(factor=1.5, strength=0.5)),
    a_spec(steps=6, cache=2),
)


def test_pictures_from_before_weights_were_packed_are_made_again_to_the_byte(toy_folder: Path) -> None:
    before = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1, packs_weights=False))
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    is_other = []
    for spec in SPECS:
        painted, ours = (paint(each, an_order(spec)) for each in (before, engine))
        assert abs(as_array(painted) - as_array(ours)).max() <= 2
        is_other.append(painted.pixels != ours.pixels)
        for each in (painted, ours, painted):
            assert paint(engine, an_order(spec, replay=each.trace)).pixels == each.pixels, spec
    assert any(is_other), "else this shows nothing"
    before.close()
    engine.close()
