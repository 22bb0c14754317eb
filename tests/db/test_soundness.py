"""A large file is looked through beside the running bot, not before it answers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from db import integrity, soundness
from db.address import parse_url
from db.backends import FileBackend
from db.engine import Database
from db.integrity import Ask
from db.migrate import migrate
from db.readonly import read_schema
from db.soundness import SoundnessCheck
from generation.errors import ConfigurationError
from tests.patience import PATIENCE_S

PAGE = 4096


def damage(file: Path, name: str) -> None:
    """Write over the first page of a table or an index."""
    with closing(sqlite3.connect(file)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * PAGE)
        opened.write(b"\xab" * PAGE)


@pytest.fixture
def file(url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database that counts as large, and is looked through at once."""
    monkeypatch.setattr(integrity, "LATER_BYTES", 0)
    monkeypatch.setattr(soundness, "FIRST_S", 0.0)
    return Path(url.removeprefix("sqlite:///"))


def check_of(database: Database) -> SoundnessCheck:
    assert isinstance(database.backend, FileBackend)
    return database.backend._check


async def until_checked(database: Database) -> str | None:
    await asyncio.to_thread(check_of(database)._thread.join, PATIENCE_S)
    return database.problem


@pytest.mark.parametrize("name", ["reviews", "ix_reviews_until"])
async def test_damage_is_told_soon_after_the_start(file: Path, tmp_path: Path, name: str) -> None:
    damage(file, name)
    async with await Database.open(f"sqlite:///{file}", tmp_path) as database:
        problem = await until_checked(database)
    assert problem is not None
    assert f"The database {file} is damaged (" in problem and "put a backup in its place" in problem


async def test_a_sound_file_is_no_problem(file: Path, tmp_path: Path) -> None:
    async with await Database.open(f"sqlite:///{file}", tmp_path) as database:
        assert await until_checked(database) is None


async def test_control_a_small_file_is_looked_through_before(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "LATER_BYTES", 2**40)
    damage(file, "reviews")
    with pytest.raises(ConfigurationError, match="is damaged"):
        await Database.open(f"sqlite:///{file}", tmp_path)


async def test_a_file_is_looked_through_before_an_upgrade_and_by_the_doctor(file: Path, tmp_path: Path) -> None:
    damage(file, "reviews")
    with pytest.raises(ConfigurationError, match="is damaged"):
        read_schema(parse_url(f"sqlite:///{file}"))
    old = tmp_path / "old.db"
    migrate(parse_url(f"sqlite:///{old}"), revision="0022")
    damage(old, "reviews")
    with pytest.raises(ConfigurationError, match="is damaged"):
        migrate(parse_url(f"sqlite:///{old}"))


async def test_a_stop_does_not_wait_for_the_check(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for the time before it, nor for a table that takes long: reading is interrupted."""
    monkeypatch.setattr(soundness, "FIRST_S", 3600.0)
    async with await Database.open(f"sqlite:///{file}", tmp_path) as waiting:
        assert check_of(waiting)._thread.is_alive()
    assert not check_of(waiting)._thread.is_alive()
    for_ever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT 'ok' FROM n WHERE x < 0"
    began = threading.Event()

    def look(ask: Ask, _table: str) -> list[str]:
        began.set()
        return ask(for_ever)

    monkeypatch.setattr(soundness, "find_damage", look)
    monkeypatch.setattr(soundness, "FIRST_S", 0.0)
    async with await Database.open(f"sqlite:///{file}", tmp_path) as looking:
        assert await asyncio.to_thread(began.wait, PATIENCE_S)
    assert not check_of(looking)._thread.is_alive()
    assert check_of(looking).problem is None
