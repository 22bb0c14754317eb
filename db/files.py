"""Which files on disk the rows still need: asked in the transaction that lets go of some, so that the answer holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, String, func, literal_column, or_, select, text, update
from sqlalchemy.orm import Session

from db.models import SOURCES, DeliveryRow, ImageRow, JobRow, ReviewRow

T = TypeVar("T")
IS_ALIVE = text("images.status IN ('waiting', 'running')")
"""Written out, not bound: only so does SQLite see that the index of living images will do."""
_SOURCES = [literal_column(found, String()) for found in SOURCES.values()]
_ORIGINAL = literal_column("json_extract(request, '$.replay.original')", String())
_IS_AWAITED = or_(
    JobRow.id.in_(select(ImageRow.job_id).where(IS_ALIVE)),
    JobRow.id.in_(select(DeliveryRow.job_id).where(text("deliveries.state = 'due'"))),
)
_PART = 500  # values in one IN: SQLite's limit on parameters is higher, but not everywhere


def unneeded(session: Session, files: set[str]) -> frozenset[str]:
    """Those of `files` that are no picture's, nor what one still to be made starts from."""
    needed: set[str] = set()
    for some in in_parts(files):
        needed.update(session.scalars(select(ImageRow.file_sha256).where(ImageRow.file_sha256.in_(some))))
    return unneeded_by_the_living(session, files - needed)


def unneeded_by_the_living(session: Session, files: set[str]) -> frozenset[str]:
    """Those of `files` that no picture still to be made starts from."""
    needed: set[str] = set()
    for spec in session.scalars(select(ImageRow.spec).where(IS_ALIVE)):
        needed |= spec.sources
    return frozenset(files - needed)


def brought(session: Session, started: Mapping[str, datetime]) -> set[str]:
    """Of the files that jobs which are gone started from, those that came with them.

    `started` says when the first of these jobs was asked for. Whoever was the first to start from a file brought it and
    may take it away, whatever others made of it since; who reproduced a picture may not take its upload, which nothing
    could paint again.
    """
    others: set[str] = set()
    for some in in_parts(started):
        for query in first_starts(some):
            others.update(sha256 for sha256, at in session.execute(query) if at < started[sha256])
    return started.keys() - others


def first_starts(files: Collection[str]) -> Iterator[Select[str, datetime]]:
    """Queries for which of these files pictures start from, and since when: one an index."""
    for name in _SOURCES:
        asked = select(name, func.min(JobRow.created_at)).where(JobRow.id == ImageRow.job_id)
        yield asked.where(name.in_(files)).group_by(name)


def strays(session: Session, files: Collection[str]) -> frozenset[str]:
    """Those of `files`, some hundreds, that no row names: no picture, finished or not, no review, no reproduction.

    What a reproduction is compared with is looked at when its result is posted, and by nobody after that.
    """
    left = set(files)
    for name in (ImageRow.file_sha256, *_SOURCES):
        left -= set(session.scalars(select(name).select_from(ImageRow).where(name.in_(left)).distinct()))
    left -= set(session.scalars(select(ReviewRow.sha256).where(ReviewRow.sha256.in_(left))))
    left -= set(session.scalars(select(_ORIGINAL).select_from(JobRow).where(_IS_AWAITED, _ORIGINAL.in_(left))))
    return frozenset(left)


def forget_pictures(session: Session, job_id: str) -> frozenset[str]:
    """Take a job's finished files from its rows, and name those nothing needs any more."""
    own = select(ImageRow.file_sha256).where(ImageRow.job_id == job_id, ImageRow.file_sha256.is_not(None))
    forgotten = {str(sha256) for sha256 in session.scalars(own)}
    session.execute(
        update(ImageRow)
        .where(ImageRow.job_id == job_id)
        .values(file_sha256=None)
        .execution_options(synchronize_session=False)
    )
    return unneeded(session, forgotten)


def in_parts(values: Iterable[T]) -> Iterator[list[T]]:
    every = list(values)
    for start in range(0, len(every), _PART):
        yield every[start : start + _PART]
