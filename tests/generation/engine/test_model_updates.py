"""Models come, go and change while the engine paints: residents keep what they began with, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from generation.engine.engine import Engine
from generation.errors import UnknownModelError
from generation.jobs.protocol import Finished, ImageFailed
from generation.models.catalog import Model
from generation.models.hashing import hash_files
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run
from tests.generation.engine.toy import save_toy, toy_model
from tests.generation.engine.toy_extras import called, kohya_lora

SLOW = {"steps": 8}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model, Model]:
    """The default, another one, and what that is replaced by."""
    root = tmp_path_factory.mktemp("models")
    folders = [save_toy(root / f"{seed}", seed=seed) for seed in range(3)]
    first, second = toy_model(folders[0]), toy_model(folders[1], name="second")
    return first, second, replace(second, path=folders[2])


@pytest.fixture
def engine(models: tuple[Model, Model, Model]) -> Iterator[Engine]:
    made = Engine(models[:2], EngineSettings(num_threads=1, dtype="float32"))
    yield made
    made.close()


def painted(engine: Engine, name: str, image_id: str = "b-0") -> Finished:
    return paint(engine, an_order(a_spec(model=name, **SLOW), image_id=image_id))


def test_a_model_that_is_added_paints_and_is_reported(models: tuple[Model, Model, Model]) -> None:
    engine = Engine(models[:1], EngineSettings(num_threads=1, dtype="float32"))
    assert [each.name for each in engine.report().loaded] == ["toy"]
    engine.update(models[:2])
    assert engine.report().model_sha256.keys() == {"toy", "second"}
    assert painted(engine, "second").pixels != painted(engine, "toy").pixels
    loaded = {each.name: each for each in engine.report().loaded}
    weights = [load_file(file) for file in models[1].path.rglob("*.safetensors")]
    size = sum(tensor.numel() * 4 for each in weights for tensor in each.values())
    assert loaded["second"].device == "cpu" and loaded["second"].num_bytes >= size
    engine.close()
    assert engine.report().loaded == ()


def test_an_image_in_the_making_outlives_the_removal_of_its_model(
    engine: Engine, models: tuple[Model, Model, Model]
) -> None:
    expected = painted(engine, "second").pixels
    engine.admit(an_order(a_spec(model="second", **SLOW), num_previews=2))
    engine.step()
    engine.update(models[:1])
    ended = ends(run(engine))["a-0"]
    assert isinstance(ended, Finished) and ended.pixels == expected
    assert [each.name for each in engine.report().loaded] == ["toy"]
    engine.admit(an_order(a_spec(model="second")))
    refused = ends(run(engine))["a-0"]
    assert isinstance(refused, ImageFailed) and refused.error == UnknownModelError.code


def test_a_replaced_model_shares_no_forward_with_the_one_before(
    engine: Engine, models: tuple[Model, Model, Model]
) -> None:
    first, second, other = models
    before = painted(engine, "second")
    engine.admit(an_order(a_spec(model="second", **SLOW), image_id="old-0"))
    engine.step()
    engine.update((first, other))
    engine.admit(an_order(a_spec(model="second", **SLOW), image_id="new-0"))
    made = {name: each for name, each in ends(run(engine)).items() if isinstance(each, Finished)}
    assert made["old-0"].pixels == before.pixels != made["new-0"].pixels
    assert made["new-0"].pixels == painted(engine, "second").pixels
    assert made["old-0"].model_sha256 == before.model_sha256 == hash_files(second.path)
    assert made["new-0"].model_sha256 == hash_files(other.path)


def test_other_defaults_and_a_new_lora_reload_nothing(
    engine: Engine, models: tuple[Model, Model, Model], tmp_path: Path
) -> None:
    plain = painted(engine, "toy")
    family = engine._models.get("toy").family
    lora = kohya_lora(tmp_path / "ink.safetensors")
    offered = replace(models[0], loras=(lora,), defaults=replace(models[0].defaults, steps=9))
    engine.update((offered, models[1]))
    assert engine._models.get("toy").family is family
    spec = a_spec(adapters=(called(lora),), **SLOW)
    assert paint(engine, an_order(spec)).pixels != plain.pixels
    assert painted(engine, "toy").pixels == plain.pixels
