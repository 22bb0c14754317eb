"""Two turns at once: where there is work for both, exactly repeatable, and never with another's LoRA."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from generation.engine.devices import Device, lay_out
from generation.engine.engine import Engine
from generation.jobs.protocol import Cancel, Cancelled, Event, Finished, Share
from generation.requests.prompt_addons import Adapter
from generation.requests.recipe import Trace
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run, trace_of
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_extras import kohya_lora

PATIENCE_S = 120
"""How long a turn waits for the one beside it before the test fails."""
TWO = EngineSettings(num_threads=2, max_rows=2)
"""A forward holds one guided picture, so two pictures are two turns."""


@pytest.fixture(scope="module")
def kept(toy_folder: Path) -> Iterator[Engine]:
    engine = Engine([toy_model(toy_folder)], TWO)
    yield engine
    engine.close()


@pytest.fixture
def two(kept: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine of two lanes. What a test puts in place of the family's methods is taken back."""
    family = kept._models.get("toy").family
    for name in ("denoise", "decode", "use"):
        monkeypatch.setattr(family, name, getattr(family, name))
    return kept


def watch(engine: Engine, name: str, before: Callable[..., None]) -> None:
    """Call `before` with the arguments of that method of the family, on the same thread, each time before it runs."""
    family: Any = engine._models.get("toy").family
    method = getattr(family, name)

    def watched(*arguments: Any) -> Any:
        before(*arguments)
        return method(*arguments)

    setattr(family, name, watched)


def finish(engine: Engine, *seeds: int, **changes: Any) -> list[Finished]:
    orders = [an_order(a_spec(seed=seed, **changes), image_id=f"a-{seed}", share=Share(seed)) for seed in seeds]
    made = ends(run(engine, *orders))
    return [end for end in map(made.__getitem__, (order.image_id for order in orders)) if isinstance(end, Finished)]


def test_two_forwards_run_at_once(two: Engine) -> None:
    meeting, met = threading.Barrier(2), threading.Event()

    def meet(*_: object) -> None:
        if not met.is_set():
            meeting.wait(PATIENCE_S)
            met.set()

    watch(two, "denoise", meet)
    first, second = finish(two, 1, 2)
    assert met.is_set() and {trace_of(first)[:4], trace_of(second)[:4]} == {"2t1x"}


@pytest.mark.parametrize("chosen, trace", [(2, "2x4"), (1, "2t1x4")])
def test_a_picture_alone_has_the_threads_that_are_chosen(
    two: Engine, monkeypatch: pytest.MonkeyPatch, chosen: int, trace: str
) -> None:
    threads: list[int] = []
    watch(two, "denoise", lambda *_: threads.append(torch.get_num_threads()))
    monkeypatch.setattr(two._lanes._choice, "choose", lambda kind, most: min(chosen, most))
    assert trace_of(paint(two, an_order())) == trace
    assert threads == [chosen] * 4


def test_a_picture_whose_threads_changed_is_made_again(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder)], TWO)
    made = paint(engine, an_order(a_spec(steps=12)))
    assert trace_of(made).startswith("2x2,2t1x")  # both are timed at first
    assert paint(engine, an_order(a_spec(steps=12), replay=made.trace)).pixels == made.pixels
    engine.close()


def test_one_thread_makes_one_lane(make_engine: Callable[..., Engine]) -> None:
    made = ends(run(make_engine(max_rows=2), an_order(), an_order(image_id="b-0"))).values()
    assert [trace_of(end) for end in made] == ["2x4", "2x4"]


@pytest.mark.parametrize("prescribed", ["2t1x4", "2t1x1,2x3", "4x2,2t1x2", "2x4"])
def test_a_replay_has_the_threads_of_its_trace_to_the_end(two: Engine, prescribed: str) -> None:
    threads: list[int] = []
    watch(two, "denoise", lambda *_: threads.append(torch.get_num_threads()))
    watch(two, "decode", lambda *_: threads.append(torch.get_num_threads()))
    made = paint(two, an_order(replay=prescribed))
    wanted = [forward.threads or 2 for forward in Trace.parse(prescribed).forwards()]
    assert made.trace == prescribed and threads == [*wanted, wanted[-1]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_lanes_made_is_made_again(toy_folder: Path, dtype: str) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=2, max_rows=4, dtype=dtype))
    made = finish(engine, *range(6), steps=6)
    assert any("t1" in each.trace for each in made) and len(made) == 6
    for seed, each in enumerate(made):
        again = paint(engine, an_order(a_spec(seed=seed, steps=6), replay=each.trace))
        assert again.pixels == each.pixels, each.trace
    engine.close()


def test_threads_elsewhere_stay_as_they_are(two: Engine) -> None:
    torch.set_num_threads(2)
    finish(two, 1, 2)
    assert torch.get_num_threads() == 2


def test_a_picture_that_is_cancelled_in_its_turn_leaves_the_other_alone(two: Engine) -> None:
    held, is_first = threading.Event(), threading.Lock()

    def hold(*_: object) -> None:
        if is_first.acquire(blocking=False):
            assert held.wait(PATIENCE_S)

    watch(two, "denoise", hold)
    for name in ("a-0", "b-0"):
        two.admit(an_order(image_id=name, share=Share(ord(name[0]))))
    events: list[Event] = list(two.step())  # one of them waits: the turn beside it ended
    waiting = next(iter({"a-0", "b-0"} - {event.image_id for event in events}))
    assert isinstance(two.cancel(Cancel(image_id=waiting, attempt=1))[0], Cancelled)
    assert not two.is_idle
    held.set()
    events += run(two)
    assert [type(end) for end in ends(events).values()] == [Finished]
    assert waiting not in {event.image_id for event in events}


def test_lora_wait_for_a_forward_without_them_and_are_not_passed_over(toy_folder: Path, tmp_path: Path) -> None:
    lora = kohya_lora(tmp_path / "lora.safetensors", seed=1)
    engine = Engine([toy_model(toy_folder, loras=(lora,))], TWO)
    running, clashes = [0], list[object]()

    def switch(adapters: tuple[Adapter, ...]) -> None:
        if running[0] and adapters != engine._models.get("toy").family.adapters.active:
            clashes.append(adapters)

    family: Any = engine._models.get("toy").family
    denoise, lock = family.denoise, threading.Lock()

    def count(*arguments: Any) -> Any:
        with lock:
            running[0] += 1
        try:
            return denoise(*arguments)
        finally:
            with lock:
                running[0] -= 1

    family.denoise = count
    watch(engine, "use", switch)
    adapter = Adapter(name=lora.name, sha256=lora.sha256, weight=1.0)
    plain = [an_order(a_spec(seed=seed, steps=9), image_id=f"a-{seed}", share=Share(seed)) for seed in range(3)]
    styled = an_order(a_spec(adapters=(adapter,)), image_id="l-0", share=Share(9))
    events = run(engine, *plain, styled)
    made = ends(events)
    assert [type(end) for end in made.values()] == [Finished] * 4 and not clashes
    order = [event.image_id for event in events if isinstance(event, Finished)]
    assert order[0] == "l-0", "four steps end before nine, although others could always run beside others"
    assert paint(engine, an_order(a_spec(adapters=(adapter,)), replay=made["l-0"].trace)).pixels == made["l-0"].pixels
    engine.close()


def test_memory_that_runs_out_in_a_lane_costs_a_smaller_forward(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=2, max_rows=4))
    lacking = iter([True])

    def lack(latents: torch.Tensor, *_: object) -> None:
        if len(latents) == 4 and threading.current_thread().name.startswith("lane") and next(lacking, False):
            raise torch.OutOfMemoryError("out of memory")

    watch(engine, "denoise", lack)
    assert len(finish(engine, *range(4))) == 4
    assert next(lacking, None) is None, "and it did run out"
    engine.close()


def test_a_layout_for_pictures_passes_by_weights_of_films() -> None:
    """A VAE of Qwen-Image has weights of five dimensions beside those of four."""

    class OnCard(Device):
        @property
        def is_channels_last(self) -> bool:
            return True

    network = torch.nn.ModuleList([torch.nn.Conv3d(2, 4, 3), torch.nn.Conv2d(2, 4, 3)])
    lay_out([network], OnCard(torch.device("cpu"), torch.float32, 1))
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator]
