"""Weights, boosts and reconciliation in the shell, as `bot.py` runs them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli.app import app
from db.engine import Database
from db.stores.jobs import JobStore
from db.stores.settings import SettingsStore
from generation.owner import Owner
from generation.policy.guild_settings import RoleBoost
from tests.db.some_jobs import a_job
from tests.stored import fetch_jobs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


async def _with_database(folder: Path, work: Callable[[Database], Awaitable[Any]]) -> Any:
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        return await work(database)


def test_weights_and_boosts_are_kept_for_the_next_start(folder: Path) -> None:
    assert run("weight", "5") == (0, "Guild 5 has weight 1 (1 is usual).\n")
    assert run("weight", "5", "2.5") == (0, "Guild 5 has weight 2.5 (1 is usual).\n")
    assert run("boost", "5", "77", "3")[0] == 0
    store = asyncio.run(_with_database(folder, lambda database: SettingsStore(database).fetch_boosts()))
    assert store == [RoleBoost(guild_id=5, role_id=77, boost=3.0)]
    assert run("boost", "5", "77", "1")[0] == 0
    assert asyncio.run(_with_database(folder, lambda database: SettingsStore(database).fetch_boosts())) == []
    assert "must be a number from 0.01 to 100" in run("weight", "5", "0")[1]


def test_reconcile_finds_and_repairs_differences(folder: Path) -> None:
    async def spoil(database: Database) -> None:
        await JobStore(database).accept(a_job())
        await database.write(lambda session: session.execute(text("UPDATE balances SET used = used + 5")))

    assert run("quota", "reconcile")[0] == 0
    asyncio.run(_with_database(folder, spoil))
    status, said = run("quota", "reconcile")
    assert status == 1
    assert "5 used" in said
    assert "--repair" in said
    assert run("quota", "reconcile", "--repair")[0] == 1, "a difference is reported, even when it was repaired"
    assert run("quota", "reconcile") == (0, "The books are exact: every image, posting and balance agrees.\n")


async def test_a_boost_is_kept_with_the_job(tmp_path: Path) -> None:
    from dataclasses import replace

    job = replace(a_job(), boost=3.0)

    async def accept(database: Database) -> None:
        await JobStore(database).accept(job)
        assert [each.boost for each in await JobStore(database).fetch_unfinished()] == [3.0]
        assert (await fetch_jobs(JobStore(database), Owner(job.owner.guild_id, job.owner.user_id)))[0].boost == 3.0

    await _with_database(tmp_path, accept)


def test_the_drill_of_a_backup(folder: Path) -> None:
    """P13: copied while jobs are accepted, lost, restored: the ledger is exact, and nothing older is lost."""

    async def fill(database: Database) -> tuple[list[str], list[str], tuple[int, str]]:
        before, after = [a_job(user=n) for n in range(5)], [a_job(user=n) for n in range(5)]
        for job in before:
            await JobStore(database).accept(job)
        writing = asyncio.gather(*(JobStore(database).accept(job) for job in after))
        said = await asyncio.to_thread(run, "backup", "copy.db")
        await writing
        return [job.id for job in before], [job.id for job in after], said

    before, after, (code, said) = asyncio.run(_with_database(folder, fill))
    assert (code, "copy.db holds the database" in said) == (0, True)
    assert "exists already" in run("backup", "copy.db")[1]
    (folder / "atelier.db").write_bytes(b"what a failing disk left")
    for rest in folder.glob("atelier.db-*"):
        rest.unlink()
    code, said = run("restore", "copy.db")
    assert (code, "before-restore" in said) == (0, True)
    kept = asyncio.run(_with_database(folder, lambda database: JobStore(database).fetch_unfinished()))
    assert set(before) <= {job.id for job in kept} <= {*before, *after}
    assert run("quota", "reconcile")[0] == 0


def test_an_invalid_backup_is_refused_and_replaces_nothing(folder: Path) -> None:
    assert run("weight", "5", "2")[0] == 0
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert run("restore", "picture.png")[0] == 2
    assert run("restore", "nowhere.db")[0] == 2
    assert "weight 2" in run("weight", "5")[1]


def test_a_start_after_a_restore_that_was_cut_short_makes_no_empty_database(folder: Path) -> None:
    assert run("weight", "5", "2")[0] == 0
    (folder / "atelier.db").rename(folder / "atelier.db.before-restore")
    code, said = run("weight", "5")
    assert (code, "a restore set aside" in said, (folder / "atelier.db").exists()) == (2, True, False)


def test_an_export_is_readable_by_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    before = os.umask(0o022)
    try:
        code, said = run("export", "42", str(target))
    finally:
        os.umask(before)
    written = target / "my-data.json"
    assert (code, said.strip()) == (0, f"{written} is written.")
    assert json.loads(written.read_text()) == {"discord_user_id": 42, "tables": {}}
    if os.name != "nt":
        assert (target.stat().st_mode & 0o077, written.stat().st_mode & 0o077) == (0, 0)
