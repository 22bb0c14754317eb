"""A model that the memory of the machine cannot hold is refused with a sentence: Linux would kill the process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from generation.engine import memory
from generation.engine.devices import choose_device
from generation.engine.engine import Engine
from generation.engine.memory import GIB, free_bytes, loaded_bytes, machine_bytes
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished, ImageFailed
from generation.workers import child_process
from generation.workers.child_process import describe_exit
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run
from tests.generation.engine.toy import toy_model

CPU = torch.device("cpu")


def set_total(patch: pytest.MonkeyPatch, num_bytes: int) -> None:
    for module in ("devices", "models"):
        patch.setattr(f"generation.engine.{module}.machine_bytes", lambda: num_bytes)


def set_free(patch: pytest.MonkeyPatch, num_bytes: int) -> None:
    patch.setattr("generation.engine.models.free_bytes", lambda device: num_bytes)


def test_a_model_that_fits_in_bfloat16_only_runs_in_it(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(toy_folder)
    before = torch.get_num_threads()
    enough = int(1.1 * loaded_bytes(model, 4)) + GIB // 2 + 1
    for room, dtype in ((enough, torch.float32), (enough - 2, torch.bfloat16)):
        set_total(monkeypatch, room)
        assert choose_device(EngineSettings(device="cpu"), [model]).dtype is dtype
    named = choose_device(EngineSettings(device="cpu", dtype="float32"), [model])
    assert named.dtype is torch.float32, "what the operator says stays"
    torch.set_num_threads(before)


def test_the_first_model_is_refused_if_it_can_never_fit(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(toy_folder)
    set_total(monkeypatch, loaded_bytes(model, 4) - 1)
    with pytest.raises(ConfigurationError, match=r"GiB of memory in float32.*--storage fp8"):
        Engine([model], EngineSettings(num_threads=1, dtype="float32"))


def test_another_is_refused_while_there_is_no_room_and_loads_once_there_is(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = toy_model(toy_folder, name="other")
    engine = Engine([toy_model(toy_folder), other], EngineSettings(num_threads=1))
    orders = an_order(a_spec(model="other"), image_id="other-0"), an_order(image_id="toy-0")
    with monkeypatch.context() as patched:
        set_free(patched, 0)  # what the first model holds is not enough
        end = ends(run(engine, *orders))
    assert set(engine._models._loaded) == {"toy"}, "nothing is unloaded for it"
    failed = end["other-0"]
    assert isinstance(failed, ImageFailed) and failed.error == "ModelTooLarge"
    assert "are free" in failed.message and "--storage fp8" in failed.message
    assert isinstance(end["toy-0"], Finished)
    assert paint(engine, orders[0]).pixels, "memory may be free later"


def test_a_container_limits_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, free = machine_bytes(), free_bytes(CPU)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    assert machine_bytes() == whole, "no such files"
    (tmp_path / "memory.current").write_text("50000000\n")
    (tmp_path / "memory.stat").write_text("anon 20000000\nactive_file 10000000\ninactive_file 20000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_bytes() == whole and free_bytes(CPU) > free // 2
    (tmp_path / "memory.max").write_text("60000000\n")
    assert (machine_bytes(), free_bytes(CPU)) == (60_000_000, 40_000_000), "cached files are given back"


def test_a_process_that_linux_killed_for_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = tmp_path / "vmstat"
    counters.write_text("pgpgin 7\noom_kill 3\n")
    monkeypatch.setattr(child_process, "_VMSTAT", counters)
    assert child_process.count_memory_kills() == 3
    assert describe_exit(-9, memory_kills=3) == "its process was ended by SIGKILL"
    assert "memory ran out" in describe_exit(-9, memory_kills=2)
    assert describe_exit(-9) == "its process was ended by SIGKILL", "others may have been killed before it started"
    assert describe_exit(-11, memory_kills=2) == "its process was ended by SIGSEGV"
    counters.unlink()
    assert child_process.count_memory_kills() == 0
