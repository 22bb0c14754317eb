"""What a test sees when the engine that it waits for cannot be built: the engine's own words, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker
from tests.forked_engines import fork
from tests.generation.service_harness import opened_with


@pytest.mark.long
async def test_a_forked_engine_that_cannot_be_built_ends_what_waits_for_it(tmp_path: Path) -> None:
    catalog = Catalog.open("paintbox")
    worker = LocalWorker(WorkerConfig(models=catalog.models, engine="tests.no_such_engine:Engine", nice=0), spawn=fork)
    async with opened_with(tmp_path, WorkerPool([Member(name="one", worker=worker)]), catalog=catalog) as place:
        job = await place.submit()
        with pytest.raises(ConfigurationError, match=r"No module named 'tests\.no_such_engine'"):
            await place.finished(job)
