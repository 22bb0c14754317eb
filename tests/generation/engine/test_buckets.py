"""The best number of rows is measured by network and size: one model's measurement limits no other."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.light_engine import LightEngine
from generation.engine import autotune as measuring
from generation.engine.autotune import MeasurementCache, time_buckets
from generation.engine.buckets import Buckets, Shape
from generation.engine.engine import Engine
from generation.jobs.protocol import Close, Command
from generation.models.catalog import Catalog
from generation.requests.cost import BY_PIXELS, WORK
from generation.requests.recipe import Fingerprint
from generation.workers.child import serve
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run, trace_of
from tests.generation.engine.toy import save_toy, toy_model

LARGE = {"width_px": 256, "height_px": 256, "steps": 2}


def buckets(file: Path, *, device: str = "cuda", max_rows: int = 0) -> Buckets:
    settings = EngineSettings(max_rows=max_rows)
    return Buckets(settings, MeasurementCache(str(file)), Fingerprint({"gpu": "a card"}), device=device)


def finish_tuning(engine: Engine) -> int:
    """Run the wanted measurements; return the forwards."""
    forwards = 0
    while engine.tune():
        forwards += 1
    return forwards


def rewrite(file: Path, change: Any) -> None:
    """Write figures as another machine would have measured them."""
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({name: change(name, value) for name, value in kept.items()}))


def names(file: Path) -> list[str]:
    """Return what is known of the buckets that pay, without the seconds it comes from."""
    return [name for name in json.loads(file.read_text()) if name.startswith("bucket that pays")]


# What is known, and what is taken for it.


@pytest.mark.parametrize(("side_px", "rows"), [(128, 256), (512, 16), (768, 7), (1024, 4)])
def test_the_bucket_of_the_default_limits_no_other_model(tmp_path: Path, side_px: int, rows: int) -> None:
    """On a card, two guided pictures of any model share a forward before anything of it was measured."""
    known = buckets(tmp_path / "measured.json")
    known.keep(Shape.of("small", (128, 128)), 16)
    assert known.most_rows("large", (side_px, side_px)) == rows >= 4


def test_two_models_of_one_size_are_measured_apart(tmp_path: Path) -> None:
    known = buckets(tmp_path / "measured.json")
    known.keep(Shape.of("large", (512, 512)), 2)
    assert known.most_rows("large", (512, 512)) == 2
    assert known.most_rows("small", (512, 512)) == 16


def test_another_size_is_taken_from_the_nearest_that_was_measured(tmp_path: Path) -> None:
    known = buckets(tmp_path / "measured.json")
    known.keep(Shape.of("sd", (512, 512)), 8)
    known.keep(Shape.of("sd", (128, 128)), 2)
    assert known.most_rows("sd", (512, 512)) == 8
    assert known.most_rows("sd", (640, 384)) == 8, "about the same area"
    assert known.most_rows("sd", (768, 768)) == 3
    assert known.most_rows("sd", (1024, 1024)) == 2, "a guided picture has its rows, whatever pays"
    assert known.most_rows("sd", (128, 128)) == 2


def test_a_measured_size_is_kept_for_the_next_start_and_not_wanted_again(tmp_path: Path) -> None:
    first = buckets(tmp_path / "measured.json")
    first.want("sd", "a", (512, 512), BY_PIXELS)
    first.want("sd", "of the same make", (512, 512), BY_PIXELS)
    first.want("sd", "a", (1024, 1024), BY_PIXELS)
    assert first.next_wanted is not None
    first.keep(first.next_wanted.shape, 4)
    assert first.next_wanted is not None and first.next_wanted.size_px == (1024, 1024)
    second = buckets(tmp_path / "measured.json")
    second.want("sd", "a", (512, 512), BY_PIXELS)
    assert second.next_wanted is None
    assert second.most_rows("sd", (512, 512)) == 4


def test_a_fixed_bucket_is_not_measured(tmp_path: Path) -> None:
    fixed = buckets(tmp_path / "measured.json", max_rows=8)
    fixed.want("sd", "a", (512, 512), BY_PIXELS)
    assert fixed.next_wanted is None
    assert fixed.most_rows("sd", (1024, 1024)) == 8


@pytest.mark.parametrize(
    ("device", "family", "side_px", "is_wanted"),
    [
        ("cpu", "sd", 256, True),
        ("cpu", "sd", 512, True),
        ("cpu", "sdxl", 1024, False),
        ("cpu", "klein", 1024, False),
        ("cuda", "klein", 1024, True),
    ],
)
def test_a_forward_of_minutes_is_not_tried_on_a_processor(
    tmp_path: Path, device: str, family: str, side_px: int, is_wanted: bool
) -> None:
    """A new picture waits for it."""
    known = buckets(tmp_path / "measured.json", device=device)
    known.want("network", "a", (side_px, side_px), WORK[family])
    assert (known.next_wanted is not None) is is_wanted


# How it is measured.


def seconds_of(trial: Generator[None, None, dict[int, float]]) -> dict[int, float]:
    while True:
        try:
            next(trial)
        except StopIteration as end:
            found: dict[int, float] = end.value
            return found


def forwards(seconds: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """Return forwards of these durations, on a clock of their own."""
    monkeypatch.setattr(measuring, "_seconds", lambda work: work())
    return {bucket: lambda taken=taken: taken for bucket, taken in seconds.items()}


def test_a_bucket_that_would_hold_up_pictures_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {1: 0.1, 2: 0.2, 4: 0.4, 8: 0.8, 16: 1.6}
    assert seconds_of(time_buckets(forwards(slow, monkeypatch), longest_s=1.0)).keys() == {1, 2, 4, 8}
    assert seconds_of(time_buckets(forwards({1: 20.0, 2: 40.0}, monkeypatch), longest_s=1.0)) == {1: 20.0}


def test_all_of_a_trial_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = time_buckets(forwards(dict.fromkeys((1, 2, 4, 8, 16), 0.9), monkeypatch))
    assert sum(1 for _ in trial) * 0.9 < 8


def test_a_bucket_that_does_not_fit_into_memory_ends_the_trial_alone() -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert seconds_of(time_buckets({1: lambda: None, 2: lambda: None, 4: full})).keys() == {1, 2}


class Line:
    """Commands: none as long as there is something to measure, then the end."""

    def __init__(self) -> None:
        self.waits: list[bool] = []

    def take(self, *, wait: bool, patience_s: float | None = None) -> list[Command]:
        self.waits.append(wait)
        return [Close()] if wait else []


def test_an_idle_worker_looks_at_its_commands_between_two_forwards() -> None:
    class Tuning(LightEngine):
        left = 3

        def tune(self) -> bool:
            self.left -= 1
            return self.left >= 0

    line = Line()
    serve(Tuning([], EngineSettings()), line, lambda events: None)  # type: ignore[arg-type]
    assert line.waits == [False, False, False, True]


# In the engine.


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("second"))


def engine_with(second: Path, file: Path) -> Engine:
    """Return an engine with the built-in model as default, which is measured, and another."""
    models = [Catalog.open("paintbox").default, toy_model(second)]
    engine = Engine(models, EngineSettings(num_threads=1, dtype="float32", measured=str(file), num_slots=8))
    finish_tuning(engine)
    return engine


def tuned(second: Path, file: Path) -> Engine:
    """Return an engine that has measured its default, as a worker does once it is up."""
    engine = Engine([toy_model(second)], EngineSettings(num_threads=1, dtype="float32", measured=str(file)))
    assert not file.exists() or not names(file), "no picture waits for that"
    finish_tuning(engine)
    return engine


def test_two_guided_pictures_of_a_second_model_share_a_forward(second: Path, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    first = engine_with(second, file)
    of_default = set(names(file))
    alone = paint(first, an_order(a_spec(**LARGE)))
    assert finish_tuning(first) > 0
    assert finish_tuning(first) == 0
    of_second = set(names(file)) - of_default
    [name] = of_second
    assert first._models.get("toy").network in name, "measured by itself, at its own size"

    rewrite(file, lambda name, value: 8 if name in of_second else value)
    roomy = engine_with(second, file)
    orders = [an_order(a_spec(**LARGE, seed=seed), image_id=f"{seed}-0") for seed in (5, 6)]
    together = ends(run(roomy, *orders))
    assert [trace_of(end) for end in together.values()] == ["4x2", "4x2"]
    assert finish_tuning(roomy) == 0, "known already"

    rewrite(file, lambda name, value: 2 if name in of_second else value)
    narrow = engine_with(second, file)
    apart = ends(run(narrow, *orders))
    assert [trace_of(end) for end in apart.values()] == ["2x2", "2x2"], "the control"
    assert apart["5-0"].pixels == alone.pixels  # type: ignore[union-attr]
    for order in orders:
        shared = together[order.image_id]
        again = paint(narrow, an_order(order.spec, image_id=order.image_id, replay=shared.trace))  # type: ignore[union-attr]
        assert again.pixels == shared.pixels, "whatever is measured, a trace means the same"  # type: ignore[union-attr]


def test_an_arriving_picture_interrupts_the_measurement(second: Path, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    engine = tuned(second, file)
    (name,) = names(file)
    larger = an_order(a_spec(width_px=128, height_px=128))
    before = paint(engine, larger)
    assert engine.tune()
    engine.admit(larger)
    assert not engine.tune(), "a request waits"
    assert names(file) == [name]
    assert paint(engine, larger).pixels == before.pixels
    finish_tuning(engine)
    assert len(names(file)) == 2


def test_an_evicted_model_is_not_loaded_for_a_measurement(second: Path, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    engine = tuned(second, file)
    paint(engine, an_order(a_spec(width_px=128, height_px=128)))
    engine.rest()
    finish_tuning(engine)
    assert len(names(file)) == 1
    assert engine._models.family_if_loaded("toy") is None


def test_figures_of_an_earlier_release_are_left_alone(second: Path, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    old = {"bucket that pays: 0123456789abcdef 0123456789abcdef": 16.0}
    file.write_text(json.dumps(old))
    finish_tuning(Engine([toy_model(second)], EngineSettings(num_threads=1, dtype="float32", measured=str(file))))
    kept = json.loads(file.read_text())
    assert kept.items() > old.items()
    assert len(names(file)) == 2
