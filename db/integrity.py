"""Say whether a database can be used by this code: sound, Atelier's, and not newer. What SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from db.revisions import newest_revision, read_revisions
from generation.errors import ConfigurationError, NotNowError
from generation.program import format_command

Ask = Callable[[str], list[Any]]
"""Runs one statement and returns its rows."""


LATER_BYTES = 128 * 2**20
"""A larger database is looked through beside the running bot: that takes half a minute a gigabyte."""


def require_usable(file: Path, ask: Ask) -> str | None:
    """Return the schema of the database, None of an empty one. Raise `ConfigurationError` unless this code can use
    it."""
    for damage in find_damage(ask, ""):
        raise damaged(file, damage)
    return _require_schema(file, ask)


def require_usable_now(file: Path, ask: Ask) -> str | None:
    """Do the same at a start: a large database that needs no upgrade is not looked through (`db.soundness`)."""
    if is_checked_later(file) and _require_schema(file, ask) == newest_revision():
        return newest_revision()
    return require_usable(file, ask)


def is_checked_later(file: Path) -> bool:
    return file.stat().st_size > LATER_BYTES


def find_damage(ask: Ask, table: str) -> Iterator[str]:
    """Yield what is wrong with a table and its indexes, or with the whole file for an empty name; nothing if it is
    sound."""
    for row in ask(f"PRAGMA quick_check({table or 1})"):
        if row[0] != "ok":
            yield " ".join(str(row[0]).split())  # SQLite breaks the line


def _require_schema(file: Path, ask: Ask) -> str | None:
    tables = {str(row[0]) for row in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
    current = require_known(f"{file}", tables - {"sqlite_sequence"}, ask, remedy=_A_FILE)
    if current not in {newest_revision(), None}:
        require_references(ask)
    return current


_A_FILE = "Set ATELIER_DATABASE_URL to a file of Atelier's own."


def require_known(what: str, tables: set[str], ask: Ask, *, remedy: str) -> str | None:
    """Return the schema of a database that has these tables, None of an empty one. Raise `ConfigurationError` unless
    it is Atelier's, and not newer."""
    if "alembic_version" not in tables:
        if tables:
            problem = f"{what} is a database of another program: it has the table {min(tables)}, and no version."
            raise ConfigurationError(problem=problem, remedy=remedy)
        return None
    rows = ask("SELECT version_num FROM alembic_version")
    current = str(rows[0][0]) if rows else None
    if current not in {*read_revisions(), None}:
        raise ConfigurationError(
            problem=f"The database was written by a newer version of Atelier (its schema is {current}).",
            remedy="Update Atelier, or restore the backup made before the update.",
        )
    return current


def require_references(ask: Ask) -> None:
    """Raise `ConfigurationError` if rows have lost what they refer to. An upgrade is undone then."""
    if broken := ask("PRAGMA foreign_key_check"):
        problem = f"{len(broken)} rows of the database lost what they refer to, and it cannot be upgraded."
        raise ConfigurationError(
            problem=problem, remedy="Nothing was changed. Please report this, with your old version."
        )


def damaged(file: Path, how: object) -> ConfigurationError:
    remedy = f"Stop the bot, and put a backup in its place: {format_command('restore FILE')}."
    return ConfigurationError(problem=f"The database {file} is damaged ({how}).", remedy=remedy)


def explain(error: BaseException | None, file: Path) -> ConfigurationError:
    """Return what to tell, and what helps, of an error of SQLite's about the database in `file`."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(file, error)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        problem = f"Another program keeps the database {file} locked ({error})."
        return NotNowError(problem=problem, remedy="Close it, and try again.")
    if name.startswith("SQLITE_FULL"):
        return ConfigurationError(
            problem=f"There is no room left for the database {file}.", remedy="Make room on its disk."
        )
    remedy = "Check that its folder is writable, and that the disk has space and no errors."
    return ConfigurationError(problem=f"The database {file} cannot be opened or upgraded ({error}).", remedy=remedy)


def asking(connection: sqlite3.Connection) -> Ask:
    return lambda statement: connection.execute(statement).fetchall()
