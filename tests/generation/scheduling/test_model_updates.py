"""The watch on the models folder: what it notices, what it says once, and what stays when it cannot be read."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.hashing import digests
from generation.models.registry import REGISTER, Entry, Kind, ModelRegistry
from generation.requests.defaults import DefaultOverrides
from generation.scheduling.model_updates import CatalogWatch
from tests.generation.engine.toy import save_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def folder(toy: Path, tmp_path: Path) -> Path:
    path = Path(shutil.copytree(toy, tmp_path / "toy"))
    entry = Entry(name="toy", kind=Kind.MODEL, path=str(path), files=digests(path), family="sd")
    ModelRegistry(entries=(entry,)).write(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def watch(folder: Path) -> CatalogWatch:
    made = CatalogWatch(lambda: Catalog.open("paintbox", folder), models_dir=folder)
    assert names(made.open()) == ["paintbox", "toy"]
    return made


def names(catalog: Catalog | None) -> list[str]:
    assert catalog is not None
    return [model.name for model in catalog.models]


def test_nothing_is_read_while_nothing_changes(watch: CatalogWatch) -> None:
    assert watch.poll() is None and watch.poll() is None


def test_an_entry_that_is_added_set_or_removed_is_noticed_once(watch: CatalogWatch, folder: Path) -> None:
    register = ModelRegistry.read(folder)
    entry = register.entries[0]
    chosen = DefaultOverrides(steps=3)
    changed = Entry(name="more", kind=entry.kind, path=entry.path, files=entry.files, family="sd", chosen=chosen)
    register.with_entry(changed).write(folder)
    found = watch.poll()
    assert names(found) == ["paintbox", "toy", "more"] and found is not None
    assert found.get("more").defaults.steps == 3
    assert watch.poll() is None
    register.write(folder)
    assert names(watch.poll()) == ["paintbox", "toy"]
    (folder / REGISTER).unlink()
    assert names(watch.poll()) == ["paintbox"]


def test_a_model_whose_folder_goes_and_comes_back_is_noticed(
    watch: CatalogWatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder.parent / "toy"
    path.rename(folder.parent / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert names(watch.poll()) == ["paintbox"]
    assert "model=toy action=left-out" in caplog.text
    (folder.parent / "elsewhere").rename(path)
    assert names(watch.poll()) == ["paintbox", "toy"]


def test_what_cannot_be_read_is_said_once_for_each_change(watch: CatalogWatch, folder: Path) -> None:
    good = (folder / REGISTER).read_bytes()
    for broken in (b"{", b'{"entries": 5}', b"[" * 100_000):
        (folder / REGISTER).write_bytes(broken)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            watch.poll()
        assert watch.poll() is None
    (folder / REGISTER).write_bytes(good)
    assert names(watch.poll()) == ["paintbox", "toy"]
