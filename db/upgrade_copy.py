"""The checked copy of a database that is taken before it is upgraded, so that the way back is always there.

Copies hold what was deleted since: few are kept, and none for long.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from db import dump, postgres
from db.backup import is_there, write_copy
from db.integrity import Ask, asking, require_usable
from db.revisions import newest_revision, read_revisions
from generation.errors import ConfigurationError

log = logging.getLogger(__name__)
NUM_KEPT = 3
KEPT_S = 30 * 24 * 3600.0
_SPARE_BYTES = 16 * 2**20
_LOGS = ("", "-wal")
_NAMED = ".schema-"


class NoRoomForCopyError(ConfigurationError):
    """{path} is upgraded only after a copy of it, and there is no room for one: it takes {needed} MiB, and {free} \
are free. Make room; nothing was changed."""


def keep_copy(file: Path) -> Path | None:
    """Copy a SQLite file that is about to be upgraded, and return where to; None if it is not. Blocks.

    Nothing else may write to it. Raise `ConfigurationError` if there is no room, or it or its copy is not sound.
    """
    current = _read_schema(file) if is_there(file) else None
    _clear(file.parent, file.name)
    if not _is_upgraded(current):
        return None
    with closing(sqlite3.connect(file)) as connection:
        require_usable(file, asking(connection))
    require_room(file)
    target = file.with_name(f"{file.name}{_NAMED}{current}")
    write_copy(file, target)
    _say(target)
    _clear(file.parent, file.name)
    return target


def keep_server_copy(writing: Engine, url: URL, data_dir: Path) -> Path | None:
    """Do the same for a database on a server, with `pg_dump`. Where there is none that fits, that is logged."""
    with writing.connect() as connection:
        ask: Ask = lambda statement: list(connection.exec_driver_sql(statement))  # noqa: E731
        has_schema = "alembic_version" in postgres.find_tables(ask)
        rows = ask("SELECT version_num FROM alembic_version") if has_schema else []
    current = str(rows[0][0]) if rows else None
    _clear(data_dir, str(url.database))
    if not _is_upgraded(current):
        return None
    target = data_dir / f"{url.database}{_NAMED}{current}"
    try:
        dump.write_copy(url, target)
    except dump.ProgramUnfitError as unfit:
        log.warning("action=upgrade-without-copy reason=%s", unfit)
        return None
    _say(target)
    _clear(data_dir, str(url.database))
    return target


def require_room(file: Path | None) -> None:
    """Raise `NoRoomForCopyError` if a copy of the database does not fit beside it; what a server has, it knows."""
    if file is None:
        return
    needed = sum(part.stat().st_size for name in _LOGS if (part := file.with_name(f"{file.name}{name}")).exists())
    free = shutil.disk_usage(file.parent).free
    if free < needed + _SPARE_BYTES:
        mib = {"needed": -(-needed // 2**20), "free": free // 2**20}
        raise NoRoomForCopyError(path=file, **mib)


def _is_upgraded(current: str | None) -> bool:
    """Return whether this code upgrades a database with that schema: one that is newer, or foreign, is refused."""
    return current in read_revisions() and current != newest_revision()


def _read_schema(file: Path) -> str | None:
    """Return the schema; None where it cannot be read: what opens the database next says why."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None
    return None


def _say(target: Path) -> None:
    log.info("action=database-copied before=upgrade file=%s", target)


def _clear(folder: Path, name: str) -> None:
    """Remove copies that are too old, and all but the newest few."""
    for path, changed_s in _find_copies(folder, name)[NUM_KEPT:]:
        _remove(path, changed_s)
    for path, changed_s in _find_copies(folder, name):
        if time.time() - changed_s > KEPT_S:
            _remove(path, changed_s)


def _find_copies(folder: Path, name: str) -> list[tuple[Path, float]]:
    """Return the copies and when each was made, newest first."""
    found: Iterable[Path] = folder.glob("*") if folder.is_dir() else ()
    copies = [(path, path.stat().st_mtime) for path in found if path.name.startswith(f"{name}{_NAMED}")]
    return sorted(((path, at) for path, at in copies if path.is_file()), key=lambda each: -each[1])


def _remove(path: Path, changed_s: float) -> None:
    log.info("action=copy-removed file=%s days=%d", path, (time.time() - changed_s) // (24 * 3600))
    path.unlink(missing_ok=True)
