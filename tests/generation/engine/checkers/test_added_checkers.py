"""A safety checker that is added or removed while the engine paints: it judges from then on, and fails closed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generation.engine.engine import Engine
from generation.errors import UncheckedError
from generation.jobs.protocol import Finished, ImageFailed
from generation.models.catalog import Model
from generation.models.failed_loads import FailedLoads
from generation.models.hashing import hash_files
from generation.models.shared_additions import AddedChecker
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run
from tests.generation.engine.toy import save_checker, toy_model


@pytest.fixture
def strict(tmp_path: Path) -> AddedChecker:
    return added(save_checker(tmp_path / "strict", threshold=-1.0))


@pytest.fixture
def failed(tmp_path: Path) -> FailedLoads:
    return FailedLoads(str(tmp_path / "failed.json"))


@pytest.fixture
def engine(toy_folder: Path, tmp_path: Path) -> Iterator[Engine]:
    settings = EngineSettings(num_threads=1, failed_loads=str(tmp_path / "failed.json"))
    made = Engine([toy_model(toy_folder)], settings)
    yield made
    made.close()


def added(folder: Path) -> AddedChecker:
    return AddedChecker(name=folder.name, path=folder, sha256=hash_files(folder))


def offer(engine: Engine, toy_folder: Path, *checkers: AddedChecker) -> Model:
    model = toy_model(toy_folder, added_checkers=checkers)
    engine.update((model,))
    return model


def is_withheld(engine: Engine) -> bool:
    return paint(engine, an_order(check_safety=True)).withheld


def fails(engine: Engine) -> bool:
    end = ends(run(engine, an_order(check_safety=True, num_previews=1)))["a-0"]
    assert isinstance(end, Finished | ImageFailed)
    return isinstance(end, ImageFailed) and end.error == UncheckedError.code


def test_one_that_is_added_judges_and_one_that_is_removed_does_not(
    engine: Engine, toy_folder: Path, strict: AddedChecker
) -> None:
    assert not is_withheld(engine)
    offer(engine, toy_folder, strict)
    assert is_withheld(engine)
    engine.rest()
    assert is_withheld(engine), "after the memory was given back"
    offer(engine, toy_folder)
    assert not is_withheld(engine)


def test_a_picture_in_the_making_is_judged_by_it(engine: Engine, toy_folder: Path, strict: AddedChecker) -> None:
    engine.admit(an_order(a_spec(steps=8), check_safety=True))
    engine.step()
    offer(engine, toy_folder, strict)
    end = ends(run(engine))["a-0"]
    assert isinstance(end, Finished) and end.withheld


def test_one_that_does_not_load_stops_all_pictures_before_they_cost_a_step(
    engine: Engine, toy_folder: Path, strict: AddedChecker, failed: FailedLoads
) -> None:
    changed = replace(strict, sha256="0" * 64)
    model = offer(engine, toy_folder, changed)
    before = engine.rows_run
    assert fails(engine) and fails(engine)
    assert engine.rows_run == before
    assert "it has changed since it was added" in failed.of(model.added_checkers)["strict"]
    assert paint(engine, an_order(check_safety=False)).pixels, "only where nothing is checked is it not needed"
    offer(engine, toy_folder, strict)
    assert is_withheld(engine), "added again"
    assert failed.of((strict, changed)) == {}


def test_one_that_is_gone_is_taken_up_when_it_is_back(
    engine: Engine, toy_folder: Path, strict: AddedChecker, tmp_path: Path
) -> None:
    away = Path(shutil.move(strict.path, tmp_path / "away"))
    offer(engine, toy_folder, strict)
    assert fails(engine)
    shutil.move(away, strict.path)
    assert is_withheld(engine)


def test_a_preview_of_a_picture_that_can_no_longer_be_checked_is_not_shown(
    engine: Engine, toy_folder: Path, strict: AddedChecker
) -> None:
    engine.admit(an_order(a_spec(steps=8), check_safety=True, num_previews=2))
    engine.step()
    offer(engine, toy_folder, replace(strict, sha256="0" * 64))
    end = ends(said := run(engine))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == UncheckedError.code
    assert not [each for each in said if type(each).__name__ == "Preview"]


def test_where_checking_is_off_none_is_loaded(toy_folder: Path, strict: AddedChecker) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1, checks_safety=False))
    offer(engine, toy_folder, replace(strict, sha256="0" * 64))
    assert paint(engine, an_order(check_safety=False)).pixels
    engine.close()
