"""The composition root: everything opened is closed, and the operator's choices survive a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil

from cli.health import HealthStatus
from cli.serve import build_services, open_app
from config import Settings
from db.engine import Database
from db.stores.operator import OperatorStore


async def test_operator_choices_survive_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, num_threads=1)
    async with await Database.open(settings.url_of_database, tmp_path) as database:
        await OperatorStore(database).set_closed(True)
    async with open_app(settings) as app:
        assert app.generation.is_closed
        assert build_services(app, settings).generation is app.generation


async def test_everything_opened_is_closed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, num_threads=1)
    before = asyncio.all_tasks()
    async with open_app(settings) as app:
        assert not app.running.done()
    assert app.running.done()
    assert asyncio.all_tasks() <= before
    assert [each for each in psutil.Process().open_files() if each.path.startswith(str(tmp_path))] == []


async def test_the_health_says_what_is_wrong(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, num_threads=1)
    async with open_app(settings) as app:
        status = HealthStatus(app.generation, app.database, app.problems)
        problems: Any = status()["problems"]
        assert problems[0] == "Discord: connecting"
        status.set_discord("connected")
        problems = status()["problems"]
        assert not [each for each in problems if each.startswith("Discord")]
