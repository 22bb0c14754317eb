"""All that is kept of one person: counted, given to them, and erased."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Table, func, select
from sqlalchemy.orm import Session

from db.admin.erasure import erase_user, finish_erasing
from db.admin.export import Export, Part
from db.column_types import JsonOf
from db.engine import Database
from db.models import Base, ImageRow, JobRow, LedgerRow, MemberRow
from db.sql import JsonOrString
from db.stores.members import find_key
from generation.clock import Clock

_KEYED = {"member_key", "by"}
_HIDDEN = _KEYED | {"token", "digest"}
_AT_A_TIME = 200
COUNTED = 10_000
"""So many pictures are counted: each is looked up, 5 to 10 microseconds of it."""


class PersonalStore:
    """Of the person whose Discord id is given, and of no one else."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def count(self, user_id: int) -> tuple[int, int]:
        """Jobs, and pictures on disk; of those over `COUNTED` one more than that."""

        def read(session: Session) -> tuple[int, int]:
            mine = JobRow.member_key == find_key(session, user_id)
            jobs = session.scalar(select(func.count()).select_from(JobRow).where(mine)) or 0
            there = select(ImageRow.id).join(JobRow, JobRow.id == ImageRow.job_id)
            some = there.where(mine, ImageRow.file_sha256.is_not(None)).limit(COUNTED + 1)
            return jobs, session.scalar(select(func.count()).select_from(some.subquery())) or 0

        return await self._database.read_apart(read)

    async def export(self, user_id: int, *, part_bytes: int) -> list[Part]:
        """Every row that leads to the person, in files of at most so many bytes (see `db.admin.export`).

        Raise `InvalidRequestError` where that takes too many.
        """
        export = Export(user_id, self._database.backend.scratch, part_bytes=part_bytes)
        return await self._database.read_apart(lambda session: export.write(_rows(session, user_id)))

    def erase(self, user_id: int) -> AsyncIterator[frozenset[str]]:
        """Forget the person (see `db.admin.erasure`); yields the SHA-256 of files nothing needs any more."""
        return erase_user(self._database, user_id, clock=self._clock)

    def finish_erasing(self) -> AsyncIterator[frozenset[str]]:
        """Go on with what a crash cut off; yields as `erase` does."""
        return finish_erasing(self._database, clock=self._clock)


def _rows(session: Session, user_id: int) -> Iterator[tuple[str, bytes]]:
    """Yield the person's rows, by table and then as JSON, read a few at a time."""
    key = find_key(session, user_id)
    if key is None:
        return
    for table in Base.metadata.sorted_tables:
        if table.name == MemberRow.__tablename__ or (mine := _whose(table, key)) is None:
            continue
        columns = [_plain(column) for column in table.columns if column.name not in _HIDDEN]
        rows = session.execute(select(*columns).where(mine).execution_options(yield_per=_AT_A_TIME))
        for row in rows.mappings():
            yield table.name, msgspec.json.encode({name: _written(table.c[name], row[name]) for name in row})


def _whose(table: Table, key: int) -> ColumnElement[bool] | None:
    """Return the condition for rows that lead to a member, None for a table whose rows lead to no member."""
    columns, job_ids = table.columns, select(JobRow.id).where(JobRow.member_key == key)
    if named := [columns[name] for name in _KEYED if name in columns]:
        return named[0] == key
    if "job_id" in columns:
        return columns["job_id"].in_(job_ids)
    if "image_id" in columns and table.name != LedgerRow.__tablename__:
        return columns["image_id"].in_(select(ImageRow.id).where(ImageRow.job_id.in_(job_ids)))
    return None


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """Return JSON as it is stored: to read and check it would take most of the time.

    A damaged value becomes a string, so that it spoils no more than itself.
    """
    if not isinstance(column.type, JsonOf):
        return column
    return JsonOrString(column).label(column.name)


def _written(column: Column[Any], value: Any) -> Any:
    return msgspec.Raw(value.encode()) if isinstance(column.type, JsonOf) and value is not None else value
