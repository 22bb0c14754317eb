"""What the bot says of its health."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli import health
from cli.health import HealthStatus
from generation.models.catalog import Catalog
from generation.retry import Problems
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import Place, opened_with
from tests.patience import PATIENCE_S, until


async def _until_lost(place: Place) -> None:
    await until(lambda: any(each.trouble for each in place.generation.workers))


async def test_of_several_workers_one_that_is_down_makes_the_bot_slower_but_not_unwell(tmp_path: Path) -> None:
    catalog = Catalog.open("paintbox")
    workers = [InProcessWorker(catalog.models) for _ in range(2)]
    pool = WorkerPool([Member(name=f"w{number}", worker=worker) for number, worker in enumerate(workers)])
    async with opened_with(tmp_path, pool, catalog=catalog) as place:
        status = HealthStatus(place.generation, place.store._database, Problems())
        status.set_discord("connected")
        await place.finished(await place.submit())
        workers[0].lose()
        await _until_lost(place)
        facts = status()
        assert facts["problems"] == []
        assert facts["degraded"] == ["The worker w0 is starting or restarting (it was unplugged)."]
        workers[1].lose()
        assert status()["problems"], "now nothing is painted"
        assert status()["degraded"] == []


async def test_ready_is_said_of_discord_the_database_and_a_worker_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog.open("paintbox")
    worker = InProcessWorker(catalog.models)
    pool = WorkerPool([Member(name="w0", worker=worker)])
    async with opened_with(tmp_path, pool, catalog=catalog) as place:
        database = place.store._database
        status = HealthStatus(place.generation, database, Problems())
        await place.finished(await place.submit())
        assert await status.list_readiness() == {"discord": False, "database": True, "worker": True}
        status.set_discord("connected")
        assert all((await status.list_readiness()).values())
        worker.lose()
        await _until_lost(place)
        assert await status.list_readiness() == {"discord": True, "database": True, "worker": False}
        monkeypatch.setattr(health, "num_stuck", lambda: 1)
        assert not (await status.list_readiness())["database"], "it takes no writes"
        monkeypatch.undo()
        await database.close()
        assert not (await status.list_readiness())["database"]


async def test_a_database_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = [], asyncio.Event()

    async def hang(_database: object) -> None:
        asked.append(1)
        await answers.wait()

    catalog = Catalog.open("paintbox")
    monkeypatch.setattr(health, "_ANSWERS_WITHIN_S", 0.0)
    async with opened_with(tmp_path, WorkerPool(is_open=True), catalog=catalog) as place:
        database = place.store._database
        monkeypatch.setattr(type(database), "require_readable", hang)
        status = HealthStatus(place.generation, database, Problems())
        for _ in range(3):
            assert not (await status.list_readiness())["database"]
        answers.set()
        await asyncio.sleep(0)
        assert len(asked) <= 1
        monkeypatch.setattr(health, "_ANSWERS_WITHIN_S", PATIENCE_S)
        assert (await status.list_readiness())["database"]
