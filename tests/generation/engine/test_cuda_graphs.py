"""CUDA graphs: which forwards run by them, when they are dropped, and that pictures stay the same.

Without a card: the graph here is one that runs its function again on the same buffers, on the processor. All around it
is real. On a card, `python -m bench card` compares the bytes.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from generation.engine import cuda_graphs
from generation.engine.adapters import _MAX_RESIDENT
from generation.engine.cuda_graphs import GraphedDenoiser
from generation.engine.devices import choose_device
from generation.engine.engine import Engine
from generation.engine.families import FAMILIES
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished, Share
from generation.models.catalog import Model
from generation.requests.control import Control
from generation.requests.edits import Hires
from generation.requests.prompt_weights import SYNTAX
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, ends, paint, run
from tests.generation.engine.processor_graph import ProcessorGraph, allow_graphs
from tests.generation.engine.toy import save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_extras import called, kohya_lora

MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeEngine]:
    """Return engines by settings, with graphs unless told otherwise."""
    allow_graphs(monkeypatch)
    engines: list[Engine] = []

    def make(*models: Model, **settings: Any) -> Engine:
        usual: dict[str, Any] = {"num_threads": 1, "cuda_graphs": True, "packs_weights": False}
        chosen = EngineSettings(**usual | settings)
        engines.append(Engine(models or [toy_model(toy_folder)], chosen))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(autouse=True)
def forget_graphs() -> None:
    gc.collect()
    assert not ProcessorGraph.alive, "the test before left graphs behind"
    ProcessorGraph.num_captured = ProcessorGraph.num_replayed = 0


def denoiser_of(engine: Engine, model: str = "toy") -> GraphedDenoiser:
    accelerated = engine._models.get(model).family.accelerated
    assert isinstance(accelerated, GraphedDenoiser)
    return accelerated


# Bytes.


def test_pictures_by_graphs_have_the_bytes_of_pictures_without(make_engine: MakeEngine, tmp_path: Path) -> None:
    """Together and alone from their trace; of all kinds, and some beside them that go without."""
    lora = kohya_lora(tmp_path / "tint.safetensors")
    model = replace(toy_model(save_toy(tmp_path / "model")), loras=(lora,))
    varied: list[dict[str, Any]] = [
        {"sampler": "Euler"},
        {"prompt": "a " * 90},
        {"guidance": 1.0, "sampler": "Euler a"},
        {"height_px": 72, "start": a_start(mask=True)},
        {"hires": Hires(factor=2.0)},
        {"adapters": (called(lora),)},
        {"adapters": (called(lora, 0.5),)},
        {"prompt": "a harbour <region:left:a red boat>", "syntax": SYNTAX},
        {"cache": 2},
    ]
    orders = [
        an_order(a_spec(seed=seed, steps=3 + seed % 3, **changes), image_id=f"a-{seed}", share=Share(seed % 3))
        for seed, changes in enumerate(varied)
    ]
    by_graphs = ends(run(engine := make_engine(model), *orders))
    without = ends(run(make_engine(model, cuda_graphs=False), *orders))
    assert ProcessorGraph.num_replayed > ProcessorGraph.num_captured > 4
    for order in orders:
        end, other = by_graphs[order.image_id], without[order.image_id]
        assert isinstance(end, Finished) and isinstance(other, Finished)
        again = paint(engine, an_order(order.spec, image_id="again", replay=end.trace))
        assert again.pixels == end.pixels, order.spec
        plain = paint(make_engine(model, cuda_graphs=False), an_order(order.spec, replay=end.trace))
        assert plain.pixels == end.pixels, order.spec


def test_every_plain_forward_is_a_replay(make_engine: MakeEngine) -> None:
    engine = make_engine()
    paint(engine, an_order(a_spec(steps=6)))
    assert (ProcessorGraph.num_captured, ProcessorGraph.num_replayed) == (1, 6)
    paint(engine, an_order(a_spec(steps=6, prompt="another", seed=9)))
    assert (ProcessorGraph.num_captured, ProcessorGraph.num_replayed) == (1, 12), "kept from picture to picture"


def test_the_fingerprint_names_them(make_engine: MakeEngine) -> None:
    facts, without = (make_engine(cuda_graphs=graphs).fingerprint.facts for graphs in (True, False))
    assert set(facts.items()) - set(without.items()) == {("cuda_graphs", "on")}
    assert facts.keys() - without.keys() == {"cuda_graphs"}


@pytest.mark.long
def test_measuring_which_buckets_pay_runs_them_too(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine(measured=str(tmp_path / "measured.json"))
    while engine.tune():
        pass
    assert ProcessorGraph.num_captured > 1, "one for each bucket"
    before = ProcessorGraph.num_captured
    paint(engine, an_order())
    assert ProcessorGraph.num_captured == before, "and pictures run those"


# Which forwards.


def test_what_a_graph_cannot_hold_runs_without(make_engine: MakeEngine) -> None:
    taken = denoiser_of(make_engine()).takes
    shape = (4, 8, 8)
    assert taken(a_spec(), shape) and taken(a_spec(prompt="a <region:left:b>", syntax=SYNTAX), shape)
    assert not taken(a_spec(cache=2), shape)
    assert not taken(a_spec(control=(Control(network="edges", network_sha256="0" * 64, sha256="1" * 64),)), shape)


def test_other_families_run_without(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine()
    family: Any = engine._models.get("toy").family
    made = {
        name: cuda_graphs.graph_denoiser(family, toy_model(tmp_path, family=name), engine._device) for name in FAMILIES
    }
    assert {name for name, each in made.items() if each is not None} == {"sd", "sdxl"}


class Capturable(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what a capture refuses: to copy between the device, which is `meta` here, and the processor."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        tensors = [each for each in (*args, result) if isinstance(each, Tensor)]
        is_mixed = len({each.device.type for each in tensors}) > 1
        if is_mixed and ("copy" in str(func) or any(each.dim() for each in tensors if each.device.type == "cpu")):
            raise AssertionError(f"{func} goes between the processor and the device")
        return result


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_the_forward_neither_waits_for_the_device_nor_copies_to_it(
    make_engine: MakeEngine, toy_folder: Path, tmp_path: Path, kind: str
) -> None:
    lora = kohya_lora(tmp_path / "tint.safetensors") if kind == "sd" else None
    folder = toy_folder if kind == "sd" else save_toy_xl(tmp_path / "xl")
    model = replace(toy_model(folder, family=kind), loras=(lora,) if lora else ())
    family = make_engine(model)._models.get("toy").family
    spec = a_spec(adapters=(called(lora),) if lora else ())
    conditioning = {name: each.to("meta") for name, each in family.condition(spec, family.tokenize(spec)).items()}
    family.denoiser.to("meta")
    latents, times = torch.zeros(2, 4, 8, 8, device="meta"), torch.zeros(2, device="meta")
    with torch.inference_mode(), Capturable():
        assert family.denoise(latents, times, conditioning).shape == latents.shape
    with torch.inference_mode(), Capturable(), pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        family.denoise(latents, torch.tensor([1.0, 2.0]), conditioning)  # the control: these come from the processor
    with Capturable(), pytest.raises((RuntimeError, NotImplementedError)):
        times.tolist()


# When they are dropped.


def test_idle_release_drops_all(make_engine: MakeEngine) -> None:
    engine = make_engine()
    before = paint(engine, an_order())
    assert len(ProcessorGraph.alive) == 1
    engine.rest()
    assert not ProcessorGraph.alive
    assert paint(engine, an_order()).pixels == before.pixels


def test_a_model_takes_its_graphs_with_it(
    make_engine: MakeEngine, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(*(toy_model(toy_folder, name=name) for name in ("toy", "other")))
    paint(engine, an_order())
    before = weakref.WeakSet(ProcessorGraph.alive)
    monkeypatch.setattr("generation.engine.models.free_bytes", lambda _: 0)
    monkeypatch.setattr("generation.engine.models._LEAST_FACTOR", 0)
    paint(engine, an_order(a_spec(model="other")))
    assert set(engine._models._loaded) == {"other"}
    assert not before and len(ProcessorGraph.alive) == 1


def test_a_model_that_is_replaced_takes_its_graphs_with_it(make_engine: MakeEngine, toy_folder: Path) -> None:
    engine = make_engine(*(toy_model(toy_folder, name=name) for name in ("toy", "other")))
    paint(engine, an_order())
    engine.update((toy_model(toy_folder, name="other"),))
    assert not ProcessorGraph.alive


def test_a_lora_that_comes_or_goes_drops_those_of_its_model(make_engine: MakeEngine, tmp_path: Path) -> None:
    loras = tuple(kohya_lora(tmp_path / f"{seed}.safetensors", seed=seed) for seed in range(_MAX_RESIDENT + 1))
    engine = make_engine(replace(toy_model(save_toy(tmp_path / "model")), loras=loras))

    def count(*which: int) -> int:
        paint(engine, an_order(a_spec(adapters=tuple(called(loras[each]) for each in which), steps=1)))
        return len(ProcessorGraph.alive)

    assert count() == 1
    assert count(0) == 1, "that without LoRA went as this one came"
    assert (count(), count(0), count()) == (2, 2, 2), "switching them on and off drops nothing"
    for each in range(1, _MAX_RESIDENT):
        count(each)
    assert count(0) == 2 and count(1) == 3
    assert count(_MAX_RESIDENT) == 1, "the one unused for longest left the layers"


def test_memory_that_runs_out_drops_all_and_the_bytes_are_the_same(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    wanted = paint(engine, an_order())
    (kept,) = ProcessorGraph.alive
    replay, seen = ProcessorGraph.replay, list[bool]()
    kept_by_weak = weakref.ref(kept)
    del kept

    def replay_or_fail(self: ProcessorGraph) -> None:
        seen.append(kept_by_weak() is None)
        if len(seen) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        replay(self)

    monkeypatch.setattr(ProcessorGraph, "replay", replay_or_fail)
    made = paint(engine, an_order())
    assert (made.pixels, made.trace) == (wanted.pixels, wanted.trace)
    assert seen[:3] == [False, False, True], "it went before the second try"


def test_so_many_are_kept_and_share_their_memory(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 2)
    engine = make_engine()
    for height_px in (64, 72, 80, 64):
        paint(engine, an_order(a_spec(height_px=height_px, steps=1)))
    assert ProcessorGraph.num_captured == 4, "the first had to go, and came back"
    assert len({graph.pool for graph in ProcessorGraph.alive}) == 1
    assert len(ProcessorGraph.alive) == 2


# What cannot be.


def test_a_processor_has_none() -> None:
    with pytest.raises(ConfigurationError, match="CUDA graphs are for NVIDIA cards, not for cpu") as refused:
        choose_device(EngineSettings(cuda_graphs=True, device="cpu"))
    assert "ATELIER_CUDA_GRAPHS=false" in str(refused.value)


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), ConfigurationError, "ATELIER_CUDA_GRAPHS"),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
    ],
)
def test_a_forward_that_cannot_be_captured_says_what_to_set(
    make_engine: MakeEngine, error: Exception, raised: type[Exception], words: str
) -> None:
    family: Any = make_engine(cuda_graphs=False)._models.get("toy").family

    def fail(run: Callable[[], Tensor], pool: object) -> Any:
        try:
            raise error
        finally:
            raise RuntimeError("capture_end failed")  # as torch ends a capture in which an error was raised

    spec = a_spec()
    with pytest.raises(raised, match=words), torch.inference_mode():
        conditioning = family.condition(spec, family.tokenize(spec))
        GraphedDenoiser(family, fail).denoise(torch.zeros(2, 4, 8, 8), torch.zeros(2), conditioning)
