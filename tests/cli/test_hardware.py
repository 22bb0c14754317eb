"""What the doctor says of the graphics card: torch is asked in a real process; system files are given as they look."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.hardware import describe_hardware, find_card
from config import Settings
from generation.errors import ConfigurationError


def settings(folder: Path, **options: object) -> Settings:
    return Settings(data_dir=folder, **options)  # type: ignore[arg-type]


async def test_the_device_and_the_memory_mode_of_each_model_are_named(tmp_path: Path) -> None:
    found = await describe_hardware(settings(tmp_path, device="cpu"))
    assert found.text.startswith("CPU, ") and "threads: it works, but is slow" in found.text
    assert "paintbox (0.04 GiB) is kept whole" in found.text
    sliced = await describe_hardware(settings(tmp_path, devices="cpu*2", memory="sliced"))
    assert sliced.text.startswith("2 workers on CPU, ")
    assert "is kept in slices" in sliced.text


def nvidia(folder: Path) -> Path:
    card = folder / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA GeForce RTX 3060\nIRQ:   \t\t 130\n")
    return folder / "gpus"


def amd(folder: Path, units: int) -> Path:
    node = folder / "nodes" / str(units)
    node.mkdir(parents=True)
    (node / "properties").write_text(f"cpu_cores_count 0\nsimd_count {units}\nmax_waves_per_simd 16\n")
    return folder / "nodes"


def test_a_card_is_found_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    none = tmp_path / "none"
    assert find_card(none, none) == ""
    assert find_card(nvidia(tmp_path), none) == "NVIDIA GeForce RTX 3060"
    assert find_card(none, amd(tmp_path, 0)) == "", "a processor is a node too"
    assert find_card(none, amd(tmp_path, 72)) == "AMD graphics card"


@pytest.mark.parametrize("answer", [r"NVIDIA T4\nNVIDIA T4", "", "fails"])
def test_the_tool_of_the_driver_is_asked(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    does = "exit 9" if answer == "fails" else f"printf '{answer}'"
    tool.write_text(f"#!/bin/sh\n{does}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert find_card(tmp_path / "none", tmp_path / "none") == ("NVIDIA T4" if "T4" in answer else "")


@pytest.mark.parametrize("device", ["auto", "CPU", "cuda", "cuda:1", " mps "])
def test_devices_as_people_write_them(device: str, tmp_path: Path) -> None:
    assert settings(tmp_path, device=device).engine.device == device.strip().lower()


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda1", "1", ""])
def test_other_words_are_no_device(device: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it should be auto, cuda, cuda:1"):
        settings(tmp_path, device=device)


async def test_a_device_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cuda:7|No CUDA device"):
        await describe_hardware(settings(tmp_path, device="cuda:7"))
