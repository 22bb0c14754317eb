"""Move a SQLite database to an empty one on a server, whole or not at all, and compare what arrived.

The file is copied first, and the copy is upgraded: the file stays as it is, so the way back is to name it again. All
rows go over in one transaction. Before it is committed both sides are read again and compared.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, DateTime, MetaData, Table, Text, create_engine, func, insert, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from db import postgres
from db.address import describe, is_server, parse_url
from db.backup import backup, is_there
from db.column_types import NUL, EnumText, JsonOf, PlainText, UtcDateTime
from db.dump import WAIT_S, require_empty
from db.lock import lock_all
from db.migrate import migrate, upgrade_server
from db.models import Base
from generation import progress
from generation.errors import ConfigurationError
from generation.program import format_command

_AT_ONCE = 1000


@dataclass(frozen=True)
class Moved:
    """What went over."""

    rows: int
    tables: int


def move(file: Path, target: URL, data_dir: Path) -> Moved:
    """Copy every row of the SQLite database in `file` to the empty database `target`. Blocks.

    Takes the locks of both: no bot may be running. Raise `ConfigurationError`, with nothing changed.
    """
    if not is_server(target):
        raise ConfigurationError(
            problem=f"{describe(target)} is a file: a SQLite database is moved to PostgreSQL.".capitalize(),
            remedy="Set ATELIER_DATABASE_URL to postgresql://ROLE@HOST/DATABASE.",
        )
    if not is_there(file):
        raise ConfigurationError(problem=f"There is no database at {file}.", remedy="Name the file of the old one.")
    source = parse_url(f"sqlite:///{file}")
    with lock_all(data_dir, source), tempfile.TemporaryDirectory(prefix="atelier-", dir=data_dir) as folder:
        copy = URL.create("sqlite", database=str(Path(folder) / "copy.db"))
        backup(source, Path(str(copy.database)))
        migrate(copy)
        return _move_copy(copy, target)


def _move_copy(copy: URL, target: URL) -> Moved:
    writing = postgres.create_writing(target, wait_s=WAIT_S)
    reading = create_engine(copy, poolclass=NullPool, hide_parameters=True)
    try:
        postgres.reserve(writing, target)
        require_empty(writing, target)
        with writing.begin() as new, reading.connect() as old:
            upgrade_server(new, target)
            return _move_rows(old, new, target)
    except DBAPIError as error:
        raise postgres.explain(error.orig, target) from error
    finally:
        reading.dispose()
        writing.dispose()


def _move_rows(old: Connection, new: Connection, target: URL) -> Moved:
    tables = [_as_stored(table) for table in Base.metadata.sorted_tables]
    with progress.task("Moving rows", _count(old, tables)) as task:
        num_rows = sum(_move_table(old, new, table, task) for table in tables)
    with progress.task("Comparing tables", len(tables)) as task:
        for done, table in enumerate(tables, 1):
            if _digest(old, table) != _digest(new, table):
                problem = f"The table {table.name} is not the same in {describe(target)}: nothing was moved."
                remedy = "Run the command again, with no other program at work."
                raise ConfigurationError(problem=problem, remedy=remedy)
            _continue_numbers(new, table)
            task.move(done)
    return Moved(num_rows, len(tables))


def _count(old: Connection, tables: Sequence[Table]) -> int:
    return sum(old.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def _move_table(old: Connection, new: Connection, table: Table, task: progress.Task) -> int:
    number = 0
    for rows in _read(old, table):
        new.execute(insert(table), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])
        number += len(rows)
        task.move(task.done + len(rows))
    return number


def _as_stored(table: Table) -> Table:
    """Return the table with the types that its values have in a database: damaged ones must go over too."""
    columns = [Column(column.name, _plain(column.type), primary_key=column.primary_key) for column in table.columns]
    return Table(table.name, MetaData(), *columns)


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    match kind:
        case JsonOf() | EnumText() | PlainText():
            return Text()
        case UtcDateTime():
            return DateTime(timezone=True)
    return kind


def _read(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    try:
        with connection.execute(select(table), execution_options={"yield_per": _AT_ONCE}) as streamed:
            for rows in streamed.partitions():
                yield [tuple(map(_as_value, row)) for row in rows]
    except (ValueError, TypeError) as error:
        problem = f"The table {table.name} has a value that cannot be read ({error})."
        remedy = f"{format_command('doctor')} names the rows; correct them first."
        raise ConfigurationError(problem=problem, remedy=remedy) from None


def _as_value(value: Any) -> Any:
    """Return what a server can hold: times with their zone, and texts without NUL, which only SQLite stores."""
    match value:
        case datetime(tzinfo=None):
            return value.replace(tzinfo=UTC)
        case datetime():
            return value.astimezone(UTC)
        case str():
            return value.replace(NUL, "")
    return value


def _digest(connection: Connection, table: Table) -> tuple[int, int]:
    """Return the number of rows and the sum of their hashes: the databases sort texts differently."""
    hashes = [_hash(row) for rows in _read(connection, table) for row in rows]
    return len(hashes), sum(hashes)


def _hash(row: Sequence[Any]) -> int:
    return int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest())


def _continue_numbers(new: Connection, table: Table) -> None:
    """Let the server number the next row after the last one."""
    for column in table.primary_key.columns:
        numbered = {"name": f'"{table.name}"', "column": column.name}
        sequence = new.scalar(text("SELECT pg_get_serial_sequence(:name, :column)"), numbered)
        if sequence is not None and (last := new.scalar(select(column).order_by(column.desc()).limit(1))) is not None:
            new.execute(text("SELECT setval(CAST(:name AS regclass), :last)"), {"name": sequence, "last": last})
