"""What is measured once: the best bucket, the best number format, and that both are kept."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from generation.engine import autotune
from generation.engine.autotune import (
    MeasurementCache,
    bfloat16_gain,
    find_best_bucket,
    is_much_faster,
    time_buckets,
)
from generation.engine.devices import choose_device
from generation.engine.engine import Engine
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import an_order, paint
from tests.generation.engine.toy import toy_model


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        ({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 8),
        ({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0}, 1),
        ({1: 1.0, 2: 1.1, 4: 1.6, 8: 3.1, 16: 6.4}, 4),
        ({1: 3.0}, 1),
    ],
    ids=["all rows are free", "none is", "free up to four", "a slow machine tried one"],
)
def test_the_bucket_that_pays_is_the_first_near_the_best(seconds: dict[int, float], bucket: int) -> None:
    assert find_best_bucket(seconds) == bucket


def run_whole(trial: Generator[None, None, dict[int, float]]) -> tuple[int, dict[int, float]]:
    pauses = 0
    while True:
        try:
            next(trial)
        except StopIteration as end:
            return pauses, end.value
        pauses += 1


def test_every_bucket_is_timed_after_a_forward_that_does_not_count() -> None:
    ran: list[int] = []
    trial = time_buckets({bucket: lambda bucket=bucket: ran.append(bucket) for bucket in (1, 2)}, rounds=3)  # type: ignore[misc]
    pauses, seconds = run_whole(trial)
    assert pauses == len(ran)
    assert ran == [1, 1, 2, 2, 1, 2, 1, 2]
    assert seconds.keys() == {1, 2}


def test_measurements_are_kept(tmp_path: Path) -> None:
    file = str(tmp_path / "deep" / "measured.json")
    assert MeasurementCache(file).get("speed", lambda: 3.5) == 3.5
    assert MeasurementCache(file).get("speed", lambda: 99.0) == 3.5
    Path(file).write_text('["damaged"')
    assert MeasurementCache(file).get("speed", lambda: 4.0) == 4.0
    assert json.loads(Path(file).read_text()) == {"speed": 4.0}


def test_without_a_file_nothing_is_measured() -> None:
    assert MeasurementCache("").get("speed", lambda: pytest.fail("measured")) is None


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert MeasurementCache(str(tmp_path / "file" / "measured.json")).get("speed", lambda: 3.5) == 3.5


@pytest.mark.parametrize(("gains", "found"), [([0.03], 0.03), ([0.8, 2.1], 2.1)])
def test_large_matrices_are_multiplied_where_small_ones_give_hope(
    monkeypatch: pytest.MonkeyPatch, gains: list[float], found: float
) -> None:
    """Emulated, the large ones take seconds of the first start."""
    left = list(gains)
    monkeypatch.setattr(autotune, "_compare", lambda side, rounds: left.pop(0))
    assert bfloat16_gain() == found and not left


def test_this_processor_is_measured_and_keeps_its_threads() -> None:
    threads = torch.get_num_threads()
    assert bfloat16_gain(side=96, rounds=1) > 0
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("gain", "dtype"), [(3.0, torch.bfloat16), (1.2, torch.float32), (0.1, torch.float32)])
def test_a_processor_gets_bfloat16_when_that_is_much_faster(tmp_path: Path, gain: float, dtype: torch.dtype) -> None:
    file = tmp_path / "measured.json"
    settings = EngineSettings(device="cpu", num_threads=1, measured=str(file))
    choose_device(settings, (), MeasurementCache(str(file)))
    kept = json.loads(file.read_text())
    assert len(kept) == 1, "measured on this machine, whatever came out"
    file.write_text(json.dumps(dict.fromkeys(kept, gain)))
    assert choose_device(settings, (), MeasurementCache(str(file))).dtype is dtype
    assert is_much_faster(gain) == (dtype is torch.bfloat16)
    assert choose_device(EngineSettings(device="cpu", num_threads=1)).dtype is torch.float32


def test_an_engine_measures_once_and_keeps_its_bytes(toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    settings = EngineSettings(num_threads=1, dtype="float32", measured=str(file))
    first = Engine([toy_model(toy_folder)], settings)
    while first.tune():
        pass
    kept = json.loads(file.read_text())
    assert all(first.fingerprint.digest in name for name in kept)
    name = next(name for name in kept if name.startswith("bucket that pays"))
    assert kept[name] in (1, 2, 4, 8, 16)
    file.write_text(json.dumps({name: 2.0}))
    second = Engine([toy_model(toy_folder)], settings)
    assert second.most_rows((64, 64)) == 2
    assert second.most_rows((32, 64)) == 4
    assert second.num_slots == 2
    painted = paint(first, an_order())
    assert paint(second, an_order(replay=painted.trace)).pixels == painted.pixels
