"""Copies of the database taken while it is in use, and the way back from one.

`VACUUM INTO` writes a compact copy of one consistent moment while readers and the writer go on. It wants a connection
outside any transaction, which is why this speaks to SQLite directly. Every function here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from db.lock import FolderLock
from generation.errors import Misconfigured


def backup(url: URL, target: Path) -> None:
    """Write a checked copy of the database at `url` to the new file `target`, which appears whole or not at all.

    Raises `Misconfigured`: there is no database, `target` exists, or the copy cannot be written or read back.
    """
    source = Path(str(url.database))
    if not source.is_file():
        raise Misconfigured(problem=f"There is no database at {source}.", remedy="Check ATELIER_DATABASE_URL.")
    if target.exists():
        raise Misconfigured(problem=f"{target} exists already.", remedy="Choose a new name for the backup.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _made_whole(target) as part:
        with _told(f"The backup {target} could not be written"), closing(sqlite3.connect(source)) as connection:
            connection.isolation_level = None
            connection.execute("VACUUM INTO ?", (str(part),))
        check(part)


def check(path: Path) -> str:
    """The schema version of the backup at `path`. Raises `Misconfigured` unless it is a sound database of ours."""
    remedy = "Use another backup."
    if not path.is_file():
        raise Misconfigured(problem=f"There is no backup at {path}.", remedy=remedy)
    address = f"{path.resolve().as_uri()}?mode=ro"
    with _told(f"{path} is not a sound backup"), closing(sqlite3.connect(address, uri=True)) as copy:
        findings = [str(row[0]) for row in copy.execute("PRAGMA integrity_check")]
        orphans = copy.execute("PRAGMA foreign_key_check").fetchall()
        version = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    if findings != ["ok"] or orphans or version is None:
        raise Misconfigured(problem=f"{path} is damaged: {findings[0]}, {len(orphans)} orphans.", remedy=remedy)
    return str(version[0])


def restore(path: Path, url: URL, data_dir: Path) -> None:
    """Put the backup at `path` in the place of the database at `url`. Takes the lock: no bot may be running.

    The database that was there, which may be damaged, is kept beside it as `NAME.before-restore` with its log.
    """
    check(path)
    target = Path(str(url.database))
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(data_dir)
    lock.reserve()
    try:
        with _made_whole(target) as part:
            shutil.copyfile(path, part)
            _set_aside(target)
    finally:
        lock.release()


def _set_aside(target: Path) -> None:
    """Rename the database and the two files SQLite may have left beside it, unopened, so that they stay a set."""
    for ending in ("", "-wal", "-shm"):
        old = target.with_name(f"{target.name}{ending}")
        kept = target.with_name(f"{target.name}.before-restore{ending}")
        kept.unlink(missing_ok=True)
        if old.exists():
            old.replace(kept)


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """A path to write to that becomes `target` in one step, on disk, if nothing is raised; else nothing is left."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _told(problem: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        remedy = "Check free space and permissions, or use another file."
        raise Misconfigured(problem=f"{problem} ({error}).", remedy=remedy) from error
