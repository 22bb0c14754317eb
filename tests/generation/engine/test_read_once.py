"""Large files are read once when they are added, and not hashed again while they are the same files."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from cli import models as command
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.models import hashing, safetensors_header
from generation.models.catalog import Catalog, Model
from generation.models.hashing import KnownFile, digests, hash_files, take_stamp
from generation.models.registry import ModelRegistry
from generation.models.safetensors_header import check_numbers
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy import REAL, save_toy
from tests.generation.engine.toy_checkpoint import save_checkpoint

TENSORS = {
    "half": (torch.float16, (3, 5)),
    "brain": (torch.bfloat16, (7,)),
    "single": (torch.float32, (2, 3)),
    "double": (torch.float64, (3,)),
    "whole": (torch.int64, (5,)),
    "none": (torch.float32, (0,)),
}


@pytest.fixture(autouse=True)
def load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a model loads is tried in a process of its own, and tested elsewhere."""
    monkeypatch.setattr(command, "require_loadable", lambda model: None)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read to be hashed."""
    names: list[str] = []
    real = hashing.digest_file

    def count(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(hashing, "digest_file", count)
    return names


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return save_checkpoint(save_toy(folder / "toy", sizes=REAL), folder / "some.safetensors")


def add(folder: Path, file: Path) -> Model:
    command.add(folder, str(file), say=lambda line: None, name="some")
    return Catalog.open("paintbox", folder).get("some")


def spoil(file: Path) -> None:
    """Change a number, and let size and time say nothing of it."""
    before, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), piece=st.integers(1, 9))
def test_one_pass_gives_the_hash_and_finds_what_is_not_finite(tmp_path: Path, data: st.DataObject, piece: int) -> None:
    path = tmp_path / "some.safetensors"
    tensors = {name: torch.ones(shape, dtype=dtype) for name, (dtype, shape) in TENSORS.items()}
    bad = data.draw(st.sampled_from(["", "half", "brain", "single", "double"]))
    if bad:
        flat = tensors[bad].view(-1)
        flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    save_file(tensors, path)
    kept, safetensors_header._PIECE_BYTES = safetensors_header._PIECE_BYTES, 8 * piece
    try:
        if bad:
            with pytest.raises(ValueError, match=rf"not finite \({bad}\)"):
                check_numbers(path)
        else:
            assert check_numbers(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    finally:
        safetensors_header._PIECE_BYTES = kept


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a process reads")
def test_adding_reads_a_file_once(tmp_path: Path, file: Path) -> None:
    def count_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = count_read()
    add(tmp_path, file)
    assert file.stat().st_size <= count_read() - before < 1.5 * file.stat().st_size


def test_an_added_model_is_not_hashed_again_while_it_is_the_same_file(
    tmp_path: Path, file: Path, hashed: list[str]
) -> None:
    model = add(tmp_path, file)
    (entry,) = ModelRegistry.read(tmp_path).entries
    assert entry.stamps == {".": take_stamp(file)}
    hashed.clear()
    assert hash_files(model.path, config=model.config, known=model.known_files) == model.sha256
    assert file.name not in hashed
    assert hash_files(model.path, config=model.config) == model.sha256 and file.name in hashed


@pytest.mark.parametrize("change", [spoil, lambda file: None])
def test_the_engine_hashes_only_what_may_have_changed(
    tmp_path: Path, file: Path, hashed: list[str], change: Callable[[Path], None]
) -> None:
    mine = Path(shutil.copy(file, tmp_path / "mine.safetensors"))
    model = add(tmp_path / "models", mine)
    change(mine)
    hashed.clear()
    if change is spoil:
        with pytest.raises(ConfigurationError, match="has changed since it was added"):
            Engine([model], EngineSettings(num_threads=1))
        assert mine.name in hashed
    else:
        Engine([model], EngineSettings(num_threads=1)).close()
        assert mine.name not in hashed


def test_a_copy_in_its_place_is_hashed_and_taken(tmp_path: Path, file: Path, hashed: list[str]) -> None:
    mine = Path(shutil.copy2(file, tmp_path / "mine.safetensors"))
    model = add(tmp_path / "models", mine)
    Path(shutil.copy2(file, tmp_path / "new")).replace(mine)
    hashed.clear()
    assert hash_files(mine, config=model.config, known=model.known_files) == model.sha256
    assert mine.name in hashed


def test_files_of_a_folder_are_known_by_their_paths(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"a")
    (tmp_path / "b.safetensors").write_bytes(b"b")
    known = KnownFile(tmp_path / "a.safetensors", take_stamp(tmp_path / "a.safetensors"), "a" * 64)
    assert digests(tmp_path, (known,))["a.safetensors"] == "a" * 64 and hashed == ["b.safetensors"]


def test_a_second_scan_reads_nothing(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    shutil.copy(file, folder / "some.safetensors")
    said: list[str] = []

    def scan() -> str:
        command.scan(tmp_path / "models", str(folder), say=said.append)
        return said[-1]

    assert scan() == "1 added; 0 there already; 0 left out."
    with monkeypatch.context() as patched:
        patched.setattr("generation.models.scan.digest_file", lambda path: pytest.fail(f"{path} is read"))
        assert scan() == "0 added; 1 there already; 0 left out."
    spoil(folder / "some.safetensors")
    assert scan() == "0 added; 0 there already; 1 left out."
