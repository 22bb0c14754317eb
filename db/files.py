"""Which files on disk the rows still need: asked in the transaction that lets go of some, so that the answer holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import ImageRow
from generation.request import ImageSpec

T = TypeVar("T")
IS_ALIVE = text("images.status IN ('waiting', 'running')")
"""Written out, not bound: only so does SQLite see that the index of living images will do."""
_PART = 500  # values in one IN: SQLite's limit on parameters is higher, but not everywhere


def sources(spec: ImageSpec) -> set[str]:
    """The files a picture is made from (SHA-256)."""
    named = [spec.upscale and spec.upscale.sha256]
    if spec.start is not None:
        named += [spec.start.sha256, spec.start.mask_sha256]
    return {sha256 for sha256 in named if sha256}


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
        needed |= sources(spec)
    return frozenset(files - needed)


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
