"""The phrases of SQL that SQLite and PostgreSQL say differently, each said once here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Boolean, ColumnElement, Connection, Select, String, Table, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.visitors import InternalTraversal

T = TypeVar("T")
Executor = Session | Connection
"""What runs statements. A session sees to objects as well: with none of those, it costs a fifth more."""
_COLUMN: list[Any] = [("column", InternalTraversal.dp_clauseelement)]
_PATH: list[Any] = [("path", InternalTraversal.dp_plain_obj)]


class _OfColumn(ColumnElement[T]):
    """What is said of a column."""

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        self.column = column

    _traverse_internals: Any = _COLUMN


class JsonText(ColumnElement[str]):
    """The value at a path inside a column of JSON, as text; NULL where there is none, or the JSON is damaged."""

    inherit_cache = True
    type = String()

    def __init__(self, column: Any, *path: str) -> None:
        self.column, self.path = column, path

    _traverse_internals: Any = _COLUMN + _PATH


@compiles(JsonText)
def _json_text(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    column, path = compiler.process(element.column, **kw), ".".join(element.path)
    return f"CASE WHEN json_valid({column}) THEN CAST(json_extract({column}, '$.{path}') AS TEXT) END"


@compiles(JsonText, "postgresql")
def _json_text_on_a_server(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    """Call the function that the first migration makes: a damaged value is an error of a plain cast."""
    path = ", ".join(f"'{each}'" for each in element.path)
    return f"json_text({compiler.process(element.column, **kw)}, {path})"


class JsonOrString(_OfColumn[str]):
    """A column of JSON as it is stored; a damaged value as a JSON string."""

    inherit_cache = True
    type = Text()


@compiles(JsonOrString)
def _json_or_string(element: JsonOrString, compiler: SQLCompiler, **kw: Any) -> str:
    column = compiler.process(element.column, **kw)
    return f"CASE WHEN json_valid({column}) THEN {column} ELSE json_quote({column}) END"


@compiles(JsonOrString, "postgresql")
def _json_or_string_on_a_server(element: JsonOrString, compiler: SQLCompiler, **kw: Any) -> str:
    column = compiler.process(element.column, **kw)
    whole = f"json_text({column}, VARIADIC '{{}}'::text[])"  # called without any path it would be another function
    is_damaged = f"{whole} IS NULL AND {column} <> 'null'"
    return f"CASE WHEN {is_damaged} THEN to_json({column})::text ELSE {column} END"


class HasOtherThanAscii(_OfColumn[bool]):
    """Whether a text has characters beyond ASCII."""

    inherit_cache = True
    type = Boolean()


@compiles(HasOtherThanAscii)
def _has_other_than_ascii(element: HasOtherThanAscii, compiler: SQLCompiler, **kw: Any) -> str:
    column = compiler.process(element.column, **kw)
    return f"length(CAST({column} AS BLOB)) <> length({column})"


@compiles(HasOtherThanAscii, "postgresql")
def _has_other_than_ascii_on_a_server(element: HasOtherThanAscii, compiler: SQLCompiler, **kw: Any) -> str:
    column = compiler.process(element.column, **kw)
    return f"octet_length({column}) <> length({column})"


class Unindexed(ColumnElement[Any]):
    """A column that SQLite is not to find rows by. Without statistics it takes an index on a guild for a narrow one,
    and would go through all jobs of a large guild to find the few that another index leads to."""

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        self.column, self.type = column, column.type

    _traverse_internals: Any = _COLUMN


@compiles(Unindexed)
def _unindexed(element: Unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    """Write the plus sign that SQLite documents for this."""
    return f"+{compiler.process(element.column, **kw)}"


@compiles(Unindexed, "postgresql")
def _unindexed_on_a_server(element: Unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.column, **kw)


def select_distinct(column: Any, *where: ColumnElement[bool], after: int | None = None) -> Select[int]:
    """Select each value of a column of numbers once, in order, those over `after`: `SELECT DISTINCT` reads every row,
    this looks up the next larger value in an index that has the column behind those of `where`."""
    first = where if after is None else (*where, column > after)
    found = select(func.min(column).label("value")).where(*first).cte("found", recursive=True)
    larger = select(func.min(column)).where(*where, column > found.c.value).correlate(found).scalar_subquery()
    found = found.union_all(select(larger).select_from(found).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None))


def insert_or_add(session: Executor, table: Table, names: Sequence[str]) -> Insert:
    """Return the statement that inserts rows, or adds these columns to those of the same key."""
    dialect = session.dialect if isinstance(session, Connection) else session.get_bind().dialect
    return _inserts_or_adds(dialect.name, table, tuple(names))


@lru_cache
def _inserts_or_adds(dialect: str, table: Table, names: tuple[str, ...]) -> Insert:
    adding = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    sums = {name: table.c[name] + adding.excluded[name] for name in names}
    return adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
