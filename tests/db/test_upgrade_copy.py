"""A database is copied before it is upgraded, the copy is sound, and who only looks upgrades nothing."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.doctor import CHECKS, run_checks
from config import Settings
from db import upgrade_copy
from db.address import parse_url
from db.backup import check
from db.engine import Database
from db.migrate import migrate
from db.readonly import read_schema
from db.revisions import newest_revision
from db.upgrade_copy import NUM_KEPT, NoRoomForCopyError

OLD = "0018"


@pytest.fixture(scope="module")
def old_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of an earlier release."""
    path = tmp_path_factory.mktemp("old") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"), revision=OLD)
    return path.read_bytes()


@pytest.fixture
def file(old_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "atelier.db"
    path.write_bytes(old_bytes)
    return path


def read(file: Path) -> bytes:
    return file.read_bytes()


async def upgrade(file: Path) -> None:
    async with await Database.open(f"sqlite:///{file}", file.parent):
        pass


def kept(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.glob("atelier.db.schema-*"))


def schema_of(file: Path) -> str | None:
    return read_schema(parse_url(f"sqlite:///{file}"))


async def look(file: Path) -> dict[str, str]:
    """Return what `doctor` says of the database."""
    settings = Settings(data_dir=file.parent, database_url=f"sqlite:///{file}")
    checks = [check for check in CHECKS if check.name in ("Data folder", "Database", "Stored values")]
    return {each.name: f"{each.outcome}: {each.text}" for each in await run_checks(settings, checks)}


async def test_an_upgrade_leaves_a_sound_copy_of_what_was_there(file: Path) -> None:
    await upgrade(file)
    assert schema_of(file) == newest_revision()
    copy = file.with_name(f"atelier.db.schema-{OLD}")
    assert check(copy) == OLD and copy.stat().st_mode & 0o077 == 0
    await upgrade(file)
    assert kept(file) == [copy.name], "what is up to date is not copied"


async def test_a_new_database_needs_no_copy(tmp_path: Path) -> None:
    await upgrade(tmp_path / "atelier.db")
    assert kept(tmp_path / "atelier.db") == []


def test_a_copy_is_the_way_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(upgrade(file))
    monkeypatch.setenv("ATELIER_DATA_DIR", str(file.parent))
    monkeypatch.setenv("ATELIER_HOME", str(file.parent))
    back = CliRunner().invoke(app, ["restore", str(file.with_name(f"atelier.db.schema-{OLD}"))])
    assert back.exit_code == 0, back.output
    assert schema_of(file) == OLD


async def test_few_copies_are_kept_and_none_for_long(file: Path) -> None:
    for days, number in ((40, 1), (3, 2), (2, 3), (1, 4)):
        copy = file.with_name(f"atelier.db.schema-000{number}")
        copy.write_bytes(b"")
        os.utime(copy, (time.time() - days * 24 * 3600,) * 2)
    await upgrade(file)
    assert kept(file) == ["atelier.db.schema-0003", "atelier.db.schema-0004", f"atelier.db.schema-{OLD}"]
    assert len(kept(file)) == NUM_KEPT


async def test_without_room_for_a_copy_nothing_is_upgraded(
    file: Path, old_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade_copy, "shutil", SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=1)))
    with pytest.raises(NoRoomForCopyError, match=r"there is no room for one: it takes 1 MiB, and 0 are free\. Make"):
        await upgrade(file)
    assert read(file) == old_bytes and kept(file) == []
    assert (await look(file))["Database"].startswith("BAD: ") and read(file) == old_bytes


async def test_a_copy_that_is_cut_short_leaves_nothing_and_upgrades_nothing(
    file: Path, old_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(part: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("db.backup.check", fail)
    with pytest.raises(Exception, match="No space left on device"):
        await upgrade(file)
    assert schema_of(file) == OLD and kept(file) == []
    assert sorted(path.name for path in file.parent.glob("*.part")) == []


async def test_the_doctor_says_that_an_upgrade_is_due_and_upgrades_nothing(file: Path, old_bytes: bytes) -> None:
    said = await look(file)
    due = f"ok: sound; the next start upgrades its tables from {OLD} to {newest_revision()}, after a copy of it"
    assert said["Database"] == due
    assert read(file) == old_bytes
    assert [path.name for path in file.parent.iterdir()] == ["atelier.db"]
