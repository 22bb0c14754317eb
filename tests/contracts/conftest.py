"""Every kind of worker, behind one fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from bench.light_engine import ENGINE as LIGHT_ENGINE
from generation.fleet.remote_worker import RemoteWorker
from generation.jobs.protocol import Event, Ready
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import DEFAULT_ENGINE, WorkerConfig
from generation.workers.local import LocalWorker
from tests.generation.engine.toy import save_toy, toy_model
from tests.generation.fleet.fleet_harness import open_fleet

MakeWorker = Callable[..., LocalWorker]


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest_asyncio.fixture(loop_scope="module")
async def make_light() -> AsyncIterator[MakeWorker]:
    """Make workers that run the light engine; they are closed afterwards."""
    made: list[LocalWorker] = []

    def make(**options: Any) -> LocalWorker:
        config = WorkerConfig(models=(toy_model(Path("no/model/needed")),), engine=LIGHT_ENGINE, nice=0)
        made.append(LocalWorker(config, **options))
        return made[-1]

    yield make
    for worker in made:
        await worker.close()


@dataclass
class Workplace:
    """A worker that is up, and its events after `Ready`. `is_remote`: over a network, where progress may be joined."""

    worker: LocalWorker | RemoteWorker
    events: AsyncIterator[Event]
    is_remote: bool = False


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["light", "real", pytest.param("ray", marks=pytest.mark.long)]
)
async def workplace(request: pytest.FixtureRequest, toy_folder: Path) -> AsyncIterator[Workplace]:
    """Open one of each kind for the module (a real one takes seconds to start): tests leave nothing resident behind."""
    if request.param == "ray":
        pytest.importorskip("ray", reason="the extra `fleet` is not installed")
        async with open_fleet(WorkerConfig(models=(toy_model(toy_folder),), engine=LIGHT_ENGINE, nice=0)) as bot:
            member = await bot.fetch_member()
            events = member.events()
            assert isinstance(await anext(events), Ready)
            yield Workplace(member, events, is_remote=True)
        return
    engine = LIGHT_ENGINE if request.param == "light" else DEFAULT_ENGINE
    settings = EngineSettings(num_threads=1, device="cpu")
    worker = LocalWorker(WorkerConfig(models=(toy_model(toy_folder),), settings=settings, engine=engine, nice=0))
    await worker.start()
    events = worker.events()
    assert isinstance(await anext(events), Ready)
    yield Workplace(worker, events)
    pid = worker.pid
    await worker.close()
    assert pid is not None and not psutil.pid_exists(pid)
