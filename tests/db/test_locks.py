"""Shared files are locked under every name, and no longer than their holder lives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.backup import backup, restore
from db.engine import Database, parse_url
from db.lock import DatabaseLock, FolderInUseError, FolderLock, ModelsLock, lock_all
from generation.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from db.engine import parse_url
from db.lock import lock_all
held = lock_all(Path(sys.argv[1]), parse_url(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(data_dir: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds both locks until its input ends or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir), url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def by_a_link(file: Path, elsewhere: Path) -> str:
    (elsewhere / "link.db").symlink_to(file)
    return f"sqlite:///{elsewhere / 'link.db'}"


def by_a_folder_that_is_a_link(file: Path, elsewhere: Path) -> str:
    (elsewhere / "folder").symlink_to(file.parent)
    return f"sqlite:///{elsewhere / 'folder' / file.name}"


def by_a_hard_link(file: Path, elsewhere: Path) -> str:
    os.link(file, elsewhere / "other.db")
    return f"sqlite:///{elsewhere / 'other.db'}"


def by_a_relative_path(file: Path, elsewhere: Path) -> str:
    return f"sqlite:///{os.path.relpath(file)}"


def by_dots(file: Path, elsewhere: Path) -> str:
    return f"sqlite:///{file.parent}/../{file.parent.name}//./{file.name}"


def by_a_file_address(file: Path, elsewhere: Path) -> str:
    return f"sqlite:///file:{file}?uri=true"


def by_another_driver(file: Path, elsewhere: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


NAMES = (
    by_a_link,
    by_a_folder_that_is_a_link,
    by_a_hard_link,
    by_a_relative_path,
    by_dots,
    by_a_file_address,
    by_another_driver,
)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.__name__)
async def test_one_database_has_one_bot_by_whatever_name(
    name: Callable[[Path, Path], str], url: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = name(tmp_path / "atelier.db", elsewhere)
    with another_process(tmp_path / "one", url) as process:
        with pytest.raises(FolderInUseError, match="using the database") as refused:
            await Database.open(other, tmp_path / "two")
        if name is not by_a_hard_link:  # who it is lies beside the name it used
            assert f"process {process.pid} on " in str(refused.value) and str(tmp_path / "one") in str(refused.value)
        assert "ATELIER_DATABASE_URL" in str(refused.value)
    async with await Database.open(other, tmp_path / "two"):  # it was killed, and its locks are gone
        pass


async def test_one_process_does_not_open_a_database_twice_either(url: str, tmp_path: Path) -> None:
    async with await Database.open(url, tmp_path / "one") as database:
        with pytest.raises(FolderInUseError, match="using the database"):
            await Database.open(url, tmp_path / "two")
        assert await database.write(lambda session: 1) == 1
        assert FolderLock(tmp_path / "two").holder() is None, "what was locked before is let go"
    async with await Database.open(url, tmp_path / "two"):
        pass


async def test_one_folder_has_one_bot_whatever_its_database(url: str, tmp_path: Path) -> None:
    with another_process(tmp_path, url) as process:
        with pytest.raises(FolderInUseError, match=f"the data folder .*process {process.pid} on .*ATELIER_DATA_DIR"):
            await Database.open(f"sqlite:///{tmp_path}/other.db", tmp_path)
        assert not (tmp_path / "other.db").exists()


async def test_a_copy_of_a_folder_in_use_is_free(url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with another_process(data, url):
        shutil.copytree(data, tmp_path / "copied")
        shutil.copyfile(tmp_path / "atelier.db", tmp_path / "copied" / "atelier.db")
        shutil.copyfile(tmp_path / "atelier.db.lock", tmp_path / "copied" / "atelier.db.lock")
        async with await Database.open(f"sqlite:///{tmp_path}/copied/atelier.db", tmp_path / "copied"):
            pass


def test_reading_the_holder_takes_no_lock(url: str, tmp_path: Path) -> None:
    database = DatabaseLock(tmp_path / "atelier.db")
    assert (database.holder(), FolderLock(tmp_path).holder()) == (None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atelier.db"]
    with another_process(tmp_path, url) as process:
        for lock in (database, FolderLock(tmp_path)):
            assert f"process {process.pid} on " in str(lock.holder())
            assert "since 20" in str(lock.holder())
    assert (database.holder(), FolderLock(tmp_path).holder()) == (None, None)


def test_a_restore_respects_the_lock_of_the_database_and_a_backup_needs_none(url: str, tmp_path: Path) -> None:
    backup(parse_url(url), tmp_path / "copy.db")
    before = (tmp_path / "atelier.db").read_bytes()
    with another_process(tmp_path / "one", url):
        with pytest.raises(FolderInUseError, match="using the database"):
            restore(tmp_path / "copy.db", parse_url(url), tmp_path / "two")
        backup(parse_url(url), tmp_path / "second.db")
    assert (tmp_path / "atelier.db").read_bytes() == before
    assert not list(tmp_path.glob("*.before-restore"))


def test_a_restore_that_makes_a_database_sets_none_aside(url: str, tmp_path: Path) -> None:
    """What an earlier restore set aside stays: the lock's own empty file does not take its place."""
    backup(parse_url(url), tmp_path / "copy.db")
    (tmp_path / "atelier.db").rename(tmp_path / "atelier.db.before-restore")
    precious = (tmp_path / "atelier.db.before-restore").read_bytes()
    restore(tmp_path / "copy.db", parse_url(url), tmp_path)
    assert (tmp_path / "atelier.db.before-restore").read_bytes() == precious
    (tmp_path / "atelier.db").write_bytes(b"")  # what the lock leaves where a restore was cut short
    with pytest.raises(ConfigurationError, match="a restore set aside"):
        lock_all_and_open(url, tmp_path)


def lock_all_and_open(url: str, data_dir: Path) -> None:
    from db.migrate import migrate

    with lock_all(data_dir, parse_url(url)):
        migrate(parse_url(url))


def test_models_are_added_one_command_at_a_time(tmp_path: Path) -> None:
    with ModelsLock(tmp_path), pytest.raises(FolderInUseError, match="the models folder"):
        ModelsLock(tmp_path).reserve()
    with ModelsLock(tmp_path):
        pass


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///a.db?mode=ro",
        "sqlite:///file:a.db?nolock=1&uri=true",
        "sqlite:///file::memory:?uri=true",
        "sqlite://",
    ],
)
def test_an_address_that_would_weaken_the_database_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="database address"):
        parse_url(address)
