"""Work in parts: what may touch a hundred thousand rows is done some rows a transaction, and others' writes go between.

After a crash in the middle the next part is found by what is still there, so nothing needs to be remembered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, select, tuple_, update
from sqlalchemy.orm import Session

from db.engine import Database
from db.group_commit import T, Work
from db.models import JobRow

JOBS_AT_ONCE = 50
"""With their images, recipes and deliveries 50 ms of writing, of processor time."""
ROWS_AT_ONCE = 1000

Place = tuple[datetime, str]
"""Where a job stands in the order they were asked for in."""


async def repeat_until_none(database: Database, work: Work[T | None]) -> AsyncIterator[T]:
    """Run `work` in one transaction after another, and yield what it returns, until that is None."""
    while (done := await database.write(work)) is not None:
        yield done


def find_some_jobs(session: Session, *where: ColumnElement[bool], after: Place | None) -> Sequence[Place]:
    """Return the next jobs in order, oldest first; fewer than `JOBS_AT_ONCE` at the end."""
    places = select(JobRow.created_at, JobRow.id).where(*where)
    if after is not None:
        places = places.where(tuple_(JobRow.created_at, JobRow.id) > after)
    found = session.execute(places.order_by(JobRow.created_at, JobRow.id).limit(JOBS_AT_ONCE))
    return [(row[0], row[1]) for row in found]


def delete_some(session: Session, table: Table, condition: ColumnElement[bool]) -> bool:
    """Delete some rows of `table`. Whether there were any."""
    keys = list(table.primary_key)
    some = select(*keys).where(condition).limit(ROWS_AT_ONCE)
    gone = session.execute(delete(table).where(tuple_(*keys).in_(some)).returning(keys[0]))
    return len(gone.all()) > 0


def forget_some(session: Session, column: Column[Any], value: object) -> bool:
    """Empty `column` in some of the rows where it is `value`. Whether there were any."""
    keys = list(column.table.primary_key)
    some = select(*keys).where(column == value).limit(ROWS_AT_ONCE)
    emptied = update(column.table).where(tuple_(*keys).in_(some)).values({column: None}).returning(keys[0])
    return len(session.execute(emptied).all()) > 0
