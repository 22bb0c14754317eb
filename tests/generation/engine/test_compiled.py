"""OpenVINO in place of torch's kernels: the same pictures but for rounding, exactly repeatable, kept between starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generation.engine import compiled, devices
from generation.engine.devices import choose_device
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished, Share
from generation.requests.edits import Hires
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_extras import called, kohya_lora

SAVERS: dict[str, Callable[..., Path]] = {"sd": save_toy, "sdxl": save_toy_xl}

VARIED: list[dict[str, Any]] = [
    {},
    {"prompt": "a " * 90},
    {"guidance": 1.0},
    {"height_px": 72},
    {"hires": Hires(factor=2.0)},
]


def an_engine(folder: Path, kept: Path, *, family: str = "sd", backend: str = "openvino", **settings: Any) -> Engine:
    options: dict[str, Any] = {
        "num_threads": 2,
        "max_rows": 8,
        "cpu_backend": backend,
        "compiled": str(kept),
        "dtype": "float32",
    }
    return Engine([toy_model(folder, family=family)], EngineSettings(**options | settings))


@pytest.fixture(params=["sd", pytest.param("sdxl", marks=pytest.mark.long)])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str, tmp_path: Path) -> Path:
    return SAVERS[family](tmp_path / "model")


@pytest.fixture
def engine(family: str, folder: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = an_engine(folder, tmp_path / "compiled", family=family)
    yield engine
    engine.close()


def test_a_compiled_picture_is_that_of_torch_but_for_rounding(
    engine: Engine, family: str, folder: Path, tmp_path: Path
) -> None:
    by_torch = an_engine(folder, tmp_path, family=family, backend="torch")
    difference = as_array(paint(engine, an_order())).astype(int) - as_array(paint(by_torch, an_order()))
    assert np.abs(difference).max() <= 1


def test_the_fingerprint_names_openvino(engine: Engine, family: str, folder: Path, tmp_path: Path) -> None:
    by_torch = an_engine(folder, tmp_path, family=family, backend="torch").fingerprint
    assert dict(engine.fingerprint.facts).keys() - dict(by_torch.facts).keys() == {"openvino"}


def test_every_picture_can_be_made_again_whatever_was_beside_it(engine: Engine) -> None:
    """Others of other sizes, steps and lengths of prompt, two turns at once, and some that go by torch."""
    orders = [
        an_order(
            a_spec(seed=seed, steps=3 + seed % 3, width_px=64 + 64 * (seed % 2), **changes),
            image_id=f"a-{seed}",
            share=Share(seed % 3),
        )
        for seed, changes in enumerate(VARIED * 3)
    ]
    ended = ends(run(engine, *orders))
    for order in orders:
        end = ended[order.image_id]
        assert isinstance(end, Finished)
        again = paint(engine, an_order(order.spec, image_id="again", replay=end.trace))
        assert again.pixels == end.pixels, order.spec


def test_what_is_compiled_is_kept_and_read_at_the_next_start(
    engine: Engine, family: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list((tmp_path / "compiled").iterdir())) == 1
    monkeypatch.setattr(compiled, "_compile", lambda *_: pytest.fail("it was compiled again"))
    later = an_engine(folder, tmp_path / "compiled", family=family)
    assert paint(later, an_order()).pixels == paint(engine, an_order()).pixels


@pytest.mark.long
def test_a_kept_file_that_was_cut_off_is_compiled_again(
    engine: Engine, family: str, folder: Path, tmp_path: Path
) -> None:
    (kept,) = (tmp_path / "compiled").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:1000])
    later = an_engine(folder, tmp_path / "compiled", family=family)
    assert paint(later, an_order()).pixels == paint(engine, an_order()).pixels
    assert kept.stat().st_size == len(whole)


def test_a_folder_that_cannot_be_written_costs_only_the_time(folder: Path, family: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = an_engine(folder, tmp_path / "file", family=family)
    assert paint(engine, an_order()).trace


# Which forwards.


def test_pictures_that_run_compiled_share_no_forward_with_others(toy_folder: Path, tmp_path: Path) -> None:
    """A picture's bits would depend on its company: with a LoRA beside it, torch would have to run it."""
    lora = kohya_lora(tmp_path / "tint.safetensors")
    engine = Engine(
        [replace(toy_model(toy_folder), loras=(lora,))],
        EngineSettings(num_threads=1, cpu_backend="openvino", dtype="float32"),
    )
    specs = [a_spec(seed=1), a_spec(seed=2, adapters=(called(lora),)), a_spec(seed=3, height_px=72)]
    for number, spec in enumerate(specs):
        engine.admit(an_order(spec, image_id=f"a-{number}"))
    assert [slot.key.is_accelerated for slot in engine._slots.values()] == [True, False, False]


@pytest.mark.parametrize("settings", [{"dtype": "bfloat16"}, {"device": "meta"}])
def test_it_is_for_processors_in_float32(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="OpenVINO is for processors, in float32") as refused:
        choose_device(EngineSettings(cpu_backend="openvino", **settings))
    assert "ATELIER_CPU_BACKEND=torch" in str(refused.value)


def test_without_openvino_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(devices, "version", miss)
    with pytest.raises(ConfigurationError, match=r"pip install .*openvino"):
        choose_device(EngineSettings(cpu_backend="openvino", device="cpu"))


def test_where_memory_is_short_torch_paints_in_slices() -> None:
    device = choose_device(EngineSettings(cpu_backend="openvino", device="cpu", memory="sliced"))
    assert device.openvino == ""
