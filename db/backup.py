"""Copies of the database taken while it is in use, and the way back from one.

`VACUUM INTO` writes a compact copy of one consistent moment while readers and the writer go on. It wants a connection
outside any transaction, which is why this speaks to SQLite directly. Every function here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import URL

from db.file_permissions import create_private
from db.lock import lock_all
from generation import progress
from generation.errors import ConfigurationError

_PART = ".atelier.part"
_DAY_S = 24 * 3600.0
_PIECE_BYTES = 2**20
_SIZES = ("page_count", "freelist_count", "page_size")
_STEPS_BETWEEN_LOOKS = 2_000
_BESIDE = ("-wal", "-shm")
"""What SQLite may leave beside a database that was not closed: its log, and an index of that."""


def backup(url: URL, target: Path) -> None:
    """Write a checked copy of the database at `url` to the new file `target`, which appears whole or not at all.

    Raise `ConfigurationError`: there is no database, `target` exists, or the copy cannot be written or read back.
    """
    source = Path(str(url.database))
    if not source.is_file():
        raise ConfigurationError(problem=f"There is no database at {source}.", remedy="Check ATELIER_DATABASE_URL.")
    if target.exists():
        raise ConfigurationError(problem=f"{target} exists already.", remedy="Choose a new name for the backup.")
    write_copy(source, target)


def write_copy(source: Path, target: Path) -> None:
    """Write a checked copy of the SQLite file `source`, in the place of what is at `target`. Raise
    `ConfigurationError`."""
    with told(f"The backup {target} could not be written"), part_of(target) as part:
        with closing(sqlite3.connect(source)) as connection:
            connection.isolation_level = None
            with _growing(part, connection):
                connection.execute("VACUUM INTO ?", (str(part),))
        check(part)
        put_in_place(part, target)


@contextmanager
def _growing(part: Path, connection: sqlite3.Connection) -> Iterator[None]:
    """Have a task of copying the database of this connection to `part`, which grows meanwhile."""
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZES)
    with progress.task("Copying the database", (pages - free) * size, is_bytes=True) as task:
        connection.set_progress_handler(lambda: task.move(part.stat().st_size), _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            connection.set_progress_handler(None, 0)


def put_in_place(part: Path, target: Path) -> None:
    """Give a finished file its name, so that it outlasts a power cut."""
    _sync(part)
    part.replace(target)
    _sync(target.parent)


def check(path: Path) -> str:
    """Return the schema version of the backup at `path`. Raise `ConfigurationError` unless it is sound and ours."""
    remedy = "Use another backup."
    if not path.is_file():
        raise ConfigurationError(problem=f"There is no backup at {path}.", remedy=remedy)
    address = f"{path.resolve().as_uri()}?mode=ro"
    with told(f"{path} is not a sound backup"), closing(sqlite3.connect(address, uri=True)) as copy:
        with progress.task("Checking the copy"):
            findings = [str(row[0]) for row in copy.execute("PRAGMA integrity_check")]
        orphans = copy.execute("PRAGMA foreign_key_check").fetchall()
        version = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    if findings != ["ok"] or orphans or version is None:
        raise ConfigurationError(problem=f"{path} is damaged: {findings[0]}, {len(orphans)} orphans.", remedy=remedy)
    return str(version[0])


def restore(path: Path, url: URL, data_dir: Path) -> None:
    """Put the backup at `path` in the place of the database at `url`. Takes the locks: no bot may be running.

    The database that was there, which may be damaged, is kept beside it as `NAME.before-restore` with its log. It is
    set aside only when the new one is safely on disk, and is put back if that one cannot take its place.
    """
    check(path)
    target = Path(str(url.database))
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock_all(data_dir, url):
        if not is_there(target):
            target.unlink()  # the lock made it
        with told(f"{path} could not be put safely in the place of {target}"), part_of(target) as part:
            _copy(path, part)
            _sync(part)
            with _set_aside(target):
                _sync(target.parent)  # a new database must not come to lie beside the old one's log
                part.replace(target)
            _sync(target.parent)


def _copy(path: Path, part: Path) -> None:
    with (
        path.open("rb") as source,
        part.open("wb") as target,
        progress.task("Copying the backup", path.stat().st_size, is_bytes=True),
    ):
        while piece := source.read(_PIECE_BYTES):
            target.write(piece)
            progress.advance(len(piece))


def is_there(database: Path) -> bool:
    """Return whether there is a database. An empty file is none: it may be all that a start cut short has left."""
    return database.exists() and database.stat().st_size > 0


def find_kept_beside(target: Path, ending: str = "") -> Path:
    """Where `restore` keeps the database that was at `target`; `ending` names a file that SQLite leaves beside one."""
    return target.with_name(f"{target.name}.before-restore{ending}")


@contextmanager
def _set_aside(target: Path) -> Iterator[None]:
    """Rename the database and the two files SQLite may have left beside it, unopened, so that they stay a set.

    They are put back if what follows fails. The database goes first and comes back last: without its log it would open
    as if nothing were missing. Where there is none, an earlier try was cut short: what that one set aside stays.
    """
    if target.exists():
        for ending in _BESIDE:
            find_kept_beside(target, ending).unlink(missing_ok=True)
    moved: list[tuple[Path, Path]] = []
    try:
        for ending in ("", *_BESIDE):
            old, kept = target.with_name(f"{target.name}{ending}"), find_kept_beside(target, ending)
            if old.exists():
                old.replace(kept)
                moved.append((old, kept))
        yield
    except BaseException:
        for old, kept in reversed(moved):
            kept.replace(old)
        raise


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Yield a path to write to until it is fit to be `target`; whatever happens, nothing is left there."""
    part = target.with_name(f"{target.name}{_PART}")
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_parts(target.parent)
    part.unlink(missing_ok=True)
    create_private(part)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: Path, *, ending: str = _PART) -> None:
    """Remove what backups and restores left half written when they were killed, at least a day ago."""
    for path in folder.glob(f"*{ending}"):
        with suppress(OSError):  # not ours, or gone meanwhile
            if path.is_file() and time.time() - path.stat().st_mtime > _DAY_S:
                path.unlink()


def clear_data_folder(data_dir: Path, database: Path | None) -> None:
    """Remove what earlier runs left half written. Call it with the folder locked: nothing is being restored then."""
    (data_dir / "measured.new").unlink(missing_ok=True)
    if database is not None:
        database.with_name(f"{database.name}{_PART}").unlink(missing_ok=True)
    clear_parts(data_dir, ending=".part")


def _sync(path: Path) -> None:
    """See to it that a file's content, or the names in a folder, outlast a power cut."""
    if sys.platform == "win32" and path.is_dir():  # cannot be opened there
        return
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told(problem: str) -> Iterator[None]:
    """Raise `ConfigurationError` with this problem where the disk or SQLite refuses."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        remedy = "Check free space and permissions, or use another file."
        raise ConfigurationError(problem=f"{problem} ({error}).", remedy=remedy) from error
