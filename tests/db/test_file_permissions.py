"""Stored files are readable by the user who runs the bot alone, also in a folder of an earlier version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogs.common.forms import Attached
from cogs.common.pending_uploads import PendingUploads
from db import backup
from db.engine import Database, parse_url
from db.stores.jobs import JobStore
from generation.engine.autotune import _write
from generation.images.store import ImageFiles
from generation.owner import Owner
from tests.db.some_jobs import a_job

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such bits")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


async def use(data: Path) -> None:
    """Create every kind of file."""
    url = f"sqlite:///{data / 'atelier.db'}"
    async with await Database.open(url, data) as database:
        await JobStore(database).accept(a_job())
        backup.backup(parse_url(url), data / "copy.db")
        assert (data / "atelier.db-wal").exists() and open_to_others(data) == []
    ImageFiles(data / "pictures").put(b"a picture")
    PendingUploads(data / "forms").put(Attached(url="https://x", size=1, filename="x.png"), Owner(1, 2))
    _write(data / "measured.json", {"x": 1.0})
    backup.restore(data / "copy.db", parse_url(url), data)


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


async def test_a_new_folder_is_private(tmp_path: Path) -> None:
    await use(tmp_path / "data")
    assert open_to_others(tmp_path / "data") == []
    assert len(list((tmp_path / "data").rglob("*"))) >= 8


async def test_a_folder_of_an_earlier_version_becomes_private(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    await use(data)
    (data / "copy.db").unlink()
    elsewhere.write_text("not ours")
    (data / "pictures" / "link.png").symlink_to(elsewhere)
    for path in (data, *data.rglob("*"), elsewhere):
        if not path.is_symlink():
            path.chmod(0o777 if path.is_dir() else 0o666)
    async with await Database.open(f"sqlite:///{data / 'atelier.db'}", data):
        left = open_to_others(data)
    assert left == [data / "pictures" / "link.png"] and elsewhere.stat().st_mode & 0o777 == 0o666


async def test_the_database_is_private_in_a_folder_of_its_own_too(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    async with await Database.open(f"sqlite:///{tmp_path / 'elsewhere' / 'x.db'}", tmp_path / "data") as database:
        await JobStore(database).accept(a_job())
        files = list((tmp_path / "elsewhere").iterdir())
        assert len(files) == 4 and not any(file.stat().st_mode & 0o077 for file in files)
