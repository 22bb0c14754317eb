"""The device and number format of the engine, and the classes of exceptions."""

from __future__ import annotations

import pytest
import torch

from generation.engine.devices import choose_device, num_cores
from generation.engine.error_classes import broken, is_engine_broken, is_out_of_memory
from generation.engine.errors import StartFileMissingError
from generation.engine.fingerprint import take_fingerprint
from generation.errors import ConfigurationError, InvalidRequestError
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import an_order


@pytest.fixture(autouse=True)
def keep_threads() -> object:
    before = torch.get_num_threads()
    yield None
    torch.set_num_threads(before)


def test_a_cpu_uses_float32_and_all_cores_by_default() -> None:
    device = choose_device(EngineSettings(device="cpu"))
    assert (device.kind, device.dtype, device.num_threads) == ("cpu", torch.float32, num_cores())
    assert choose_device(EngineSettings(device="cpu", dtype="bfloat16", num_threads=1)).dtype == torch.bfloat16
    assert torch.get_num_threads() == 1


def test_an_absent_format_or_device_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="number format"):
        choose_device(EngineSettings(device="cpu", dtype="int4"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="No CUDA device"):
            choose_device(EngineSettings(device="cuda"))


def test_the_fingerprint_changes_with_threads_and_format_and_is_plain_text() -> None:
    settings = [
        EngineSettings(device="cpu", num_threads=1),
        EngineSettings(device="cpu", num_threads=2),
        EngineSettings(device="cpu", num_threads=1, dtype="bfloat16"),
    ]
    prints = [take_fingerprint(choose_device(each)) for each in settings]
    assert len({each.digest for each in prints}) == 3
    assert prints[0].digest == take_fingerprint(choose_device(settings[0])).digest
    assert all(type(value) is str for value in prints[0].facts.values())
    assert {"torch", "diffusers", "transformers", "cpu_capability"} <= set(prints[0].facts)


@pytest.mark.parametrize(
    ("error", "memory", "engine"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True, False),
        (MemoryError(), True, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("shapes do not match"), False, False),
        (ValueError("nothing to do with it"), False, False),
    ],
)
def test_exceptions_are_classified(error: Exception, memory: bool, engine: bool) -> None:
    assert (is_out_of_memory(error), is_engine_broken(error) and not is_out_of_memory(error)) == (memory, engine)


def test_a_failed_image_names_a_class_with_a_message() -> None:
    assert broken(an_order(), MemoryError()).error == "OutOfMemory"
    ended = broken(an_order(), StartFileMissingError(name="The mask"))
    assert (ended.error, ended.message) == (InvalidRequestError.code, "The mask is no longer here.")
    unknown = broken(an_order(), ZeroDivisionError("by zero"))
    assert unknown.error == "Failed" and "ZeroDivisionError" in unknown.message
