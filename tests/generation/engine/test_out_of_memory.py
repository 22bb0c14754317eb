"""Memory that runs out once, anywhere, costs a second attempt and not the picture; the bytes are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed, Preview
from generation.requests.edits import Hires, Upscale
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, ends, paint, run
from tests.generation.engine.toy import save_checker, save_upscaler, toy_model

HIRES = a_spec(sampler="Euler a", hires=Hires(factor=2.0, strength=0.5))
STARTED = a_spec(sampler="Euler a", start=a_start(mask=True))
LARGER = a_spec(upscale=Upscale(sha256="0" * 64))


@pytest.fixture(scope="module")
def engine(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    parts = tmp_path_factory.mktemp("parts")
    checker, upscaler = save_checker(parts / "checker", threshold=1.0), save_upscaler(parts / "upscaler")
    model = toy_model(toy_folder, safety_checker=checker, upscaler=upscaler)
    engine = Engine([model], EngineSettings(num_threads=1, num_cached_prompts=0))
    yield engine
    engine.close()


def part(name: str) -> Callable[[Engine], tuple[Any, str]]:
    """Return the object whose method does a stage's work: `family.decode`, `checker.look`."""
    holder, method = name.split(".")
    if holder == "checker":
        return lambda engine: (engine._models.get("toy").checkers[0], method)
    return lambda engine: (getattr(engine._models.get("toy"), holder), method)


class Full:
    """The real work on a device without room at some of the calls."""

    def __init__(self, work: Callable[..., Any], *, at: range) -> None:
        self._work, self._at = work, at
        self.calls = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        result = self._work(*args, **options)  # it runs out in the midst of it: what was drawn is drawn
        if self.calls in self._at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return result


def order_of(spec: ImageSpec) -> GenerateCommand:
    picture: dict[str, Any] = {"start_png": a_picture()} if spec.upscale else {}  # a start picture brings its own
    return an_order(spec, check_safety=True, **picture)


STAGES = [
    ("the words", "family.condition", a_spec(), 1),
    ("the second pass", "family.condition", HIRES, 2),
    ("the start picture", "family.encode", STARTED, 1),
    ("a check of the start picture", "checker.look", STARTED, 1),
    ("the first step", "family.denoise", a_spec(sampler="Euler a"), 1),
    ("a later step", "family.denoise", a_spec(sampler="Euler a"), 3),
    ("a step of the second pass", "family.denoise", HIRES, 5),
    ("LoRA", "family.use", a_spec(), 3),
    ("decoding", "family.decode", a_spec(), 1),
    ("decoding what was inpainted", "family.decode", STARTED, 1),
    ("the check", "checker.look", a_spec(), 1),
    ("the check of what has a start picture", "checker.look", STARTED, 2),
    ("the first tile", "_upscaler.enlarge", LARGER, 1),
    ("the check of what is enlarged", "checker.look", LARGER, 2),
]


@pytest.mark.parametrize(("where", "spec", "call"), [stage[1:] for stage in STAGES], ids=[stage[0] for stage in STAGES])
def test_memory_that_runs_out_once_is_given_back_and_the_bytes_are_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str, spec: ImageSpec, call: int
) -> None:
    wanted = paint(engine, order_of(spec))
    engine._checks._starts.clear()
    holder, method = part(where)(engine)
    full = Full(getattr(holder, method), at=range(call, call + 1))
    monkeypatch.setattr(holder, method, full)
    made = paint(engine, order_of(spec))
    engine._checks._starts.clear()
    assert full.calls > call, "it was tried again"
    assert (made.pixels, made.trace, made.evaluations) == (wanted.pixels, wanted.trace, wanted.evaluations)


@pytest.mark.parametrize(
    ("where", "spec", "call"),
    [(where, spec, call) for name, where, spec, call in STAGES if name != "LoRA"],
    ids=[stage[0] for stage in STAGES if stage[0] != "LoRA"],
)
def test_memory_that_runs_out_twice_ends_that_image_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str, spec: ImageSpec, call: int
) -> None:
    engine._checks._starts.clear()
    holder, method = part(where)(engine)
    with monkeypatch.context() as patched:
        patched.setattr(holder, method, Full(getattr(holder, method), at=range(call, call + 2)))
        end = ends(run(engine, order_of(spec)))["a-0"]
    engine._checks._starts.clear()
    assert isinstance(end, ImageFailed)
    assert end.error == "OutOfMemory"
    assert paint(engine, order_of(a_spec())).pixels


def test_memory_is_given_back_before_the_second_try(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    family = engine._models.get("toy").family
    held: list[int] = []
    decode, lane = family.decode, engine._lanes._free[0]

    def full_once(latents: torch.Tensor) -> torch.Tensor:
        held.append(len(lane._batches._kept))
        if len(held) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(latents)

    monkeypatch.setattr(family, "decode", full_once)
    paint(engine, order_of(a_spec()))
    assert held[0] > 0
    assert held[1] == 0, "the buffers of the forwards went first"


def test_unused_models_are_evicted_first(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder), toy_model(toy_folder, name="idle")], EngineSettings(num_threads=1))
    paint(engine, an_order(a_spec(model="idle")))
    assert set(engine._models._loaded) == {"toy", "idle"}
    family = engine._models.get("toy").family
    family.decode = Full(family.decode, at=range(1, 2))  # type: ignore[method-assign]
    made = paint(engine, an_order())
    assert set(engine._models._loaded) == {"toy"}
    assert paint(engine, an_order(a_spec(model="idle"))).pixels == made.pixels, "and come back"
    engine.close()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("odd"), MemoryError()])
@pytest.mark.parametrize("where", ["family.decode", "checker.look"])
def test_a_preview_that_fails_does_not_end_the_picture(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    wanted = paint(engine, order_of(a_spec()))
    holder, method = part(where)(engine)
    work, calls = getattr(holder, method), 0

    def fails_first(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        return work(*args)

    monkeypatch.setattr(holder, method, fails_first)
    said = run(engine, an_order(check_safety=True, num_previews=2))
    end = ends(said)["a-0"]
    assert isinstance(end, Finished)
    assert end.pixels == wanted.pixels
    assert sum(isinstance(event, Preview) for event in said) == 1, "the second one came"
    assert calls == 3


def test_a_broken_device_still_ends_the_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: such an error stays until the process is restarted, also where a preview met it."""
    family = engine._models.get("toy").family

    def broken(latents: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as patched:
        patched.setattr(family, "decode", broken)
        with pytest.raises(RuntimeError, match="illegal"):
            run(engine, an_order(num_previews=1))
    engine._slots.clear()
