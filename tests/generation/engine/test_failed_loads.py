"""A model that does not load is tried once: its pictures fail at once, others continue, and the reason is stored."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from generation.engine import models
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished, ImageFailed
from generation.models.failed_loads import FailedLoads
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, run
from tests.generation.engine.toy import toy_model

WEIGHTS = Path("unet/diffusion_pytorch_model.safetensors")


@pytest.fixture
def broken(toy_folder: Path, tmp_path: Path) -> Path:
    """Return a model that passes the rules but lacks a weight."""
    folder = Path(shutil.copytree(toy_folder, tmp_path / "broken"))
    weights = load_file(folder / WEIGHTS)
    save_file(
        {name: each for name, each in weights.items() if name != "mid_block.resnets.0.conv1.weight"}, folder / WEIGHTS
    )
    return folder


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the models that were loaded, or tried, in order."""
    names: list[str] = []
    real = models.LoadedModel

    def load(model: Any, *rest: Any, **options: Any) -> models.LoadedModel:
        names.append(model.name)
        return real(model, *rest, **options)

    monkeypatch.setattr(models, "LoadedModel", load)
    return names


def test_it_is_loaded_once_however_often_it_is_asked_for(
    toy_folder: Path, broken: Path, tmp_path: Path, tried: list[str]
) -> None:
    settings = EngineSettings(num_threads=1, failed_loads=str(tmp_path / "failed.json"))
    catalog = (toy_model(toy_folder), toy_model(broken, name="bad"))
    engine = Engine(catalog, settings)
    orders = [an_order(a_spec(model="bad"), image_id=f"bad-{number}") for number in range(3)]
    end = ends(run(engine, orders[0], an_order(image_id="good-0"), *orders[1:]))
    assert isinstance(end["good-0"], Finished)
    for order in orders:
        failed = end[order.image_id]
        assert isinstance(failed, ImageFailed) and failed.error == "ModelUnusable"
    assert tried == ["toy", "bad"]
    kept = FailedLoads(settings.failed_loads)
    assert "mid_block.resnets.0.conv1.weight" in kept.of(catalog)["bad"]
    again = Engine(catalog, settings)
    assert isinstance(ends(run(again, orders[0]))["bad-0"], ImageFailed)
    assert tried == ["toy", "bad", "toy"], "nor after a restart"
    shutil.copyfile(toy_folder / WEIGHTS, broken / WEIGHTS)
    assert isinstance(ends(run(again, orders[0]))["bad-0"], Finished)
    assert kept.of(catalog) == {}


def test_as_the_default_it_is_said_and_tried_at_every_start(broken: Path, tmp_path: Path, tried: list[str]) -> None:
    settings = EngineSettings(num_threads=1, failed_loads=str(tmp_path / "failed.json"))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"1 weights are missing.*name the settings of the same kind"):
            Engine([toy_model(broken)], settings)
    assert tried == ["toy", "toy"]


def test_a_missing_model_stops_no_other(toy_folder: Path, tmp_path: Path) -> None:
    catalog = (toy_model(toy_folder), toy_model(tmp_path / "gone", name="gone"))
    engine = Engine(catalog, EngineSettings(num_threads=1))
    end = ends(run(engine, an_order(a_spec(model="gone"), image_id="gone-0"), an_order(image_id="good-0")))
    assert isinstance(end["gone-0"], ImageFailed) and isinstance(end["good-0"], Finished)


def test_memory_that_ran_out_is_not_the_models_fault(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = toy_model(Path(shutil.copytree(toy_folder, tmp_path / "second")), name="second")
    engine = Engine((toy_model(toy_folder), second), EngineSettings(num_threads=1))
    real = models.LoadedModel

    def no_room(*_: Any, **__: Any) -> models.LoadedModel:
        raise MemoryError

    monkeypatch.setattr(models, "LoadedModel", no_room)
    failed = ends(run(engine, an_order(a_spec(model="second"))))["a-0"]
    assert isinstance(failed, ImageFailed) and failed.error == "OutOfMemory"
    monkeypatch.setattr(models, "LoadedModel", real)
    assert isinstance(ends(run(engine, an_order(a_spec(model="second"))))["a-0"], Finished)


def test_a_file_of_nonsense_is_no_memory(toy_folder: Path, tmp_path: Path) -> None:
    for text in ("", "[]", '{"toy": 1}', '{"toy": {"stamp": 1}}', "{"):
        (tmp_path / "failed.json").write_text(text)
        assert FailedLoads(str(tmp_path / "failed.json")).of((toy_model(toy_folder),)) == {}
