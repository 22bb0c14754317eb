"""One toy model for the whole run, and engines that run it on one thread (the machine may be busy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generation.engine.engine import Engine
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy import save_toy, toy_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore a warning of numpy about the way diffusers builds arrays from tensors: we cannot fix that here."""
    theirs = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(theirs)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def make_engine(toy_folder: Path) -> Iterator[Callable[..., Engine]]:
    """Return engines by settings, kept for the run: what an engine did before must not matter."""
    kept: dict[EngineSettings, Engine] = {}

    def make(**settings: object) -> Engine:
        wanted = EngineSettings(num_threads=1, **settings)  # type: ignore[arg-type]
        if wanted not in kept:
            kept[wanted] = Engine([toy_model(toy_folder)], wanted)
        assert kept[wanted].is_idle, "the test before left work behind"
        return kept[wanted]

    yield make
    for engine in kept.values():
        engine.close()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()
