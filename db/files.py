"""Which files on disk the rows still need: asked in the transaction that lets go of some, so that the answer holds.

A finished picture needs its own file. An upload is needed while a member who attached it has a living picture that
starts from it; what others painted from it does not hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    delete,
    exists,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import Session

from db.models import SOURCES, DeliveryRow, FavouriteRow, ImageRow, JobRow, ReviewRow, UploadRow
from generation.job import Status

T = TypeVar("T")
IS_ALIVE = text("images.status IN ('waiting', 'running')")
"""Written out, not bound: only so does SQLite see that the index of living images will do."""
NAMED = [literal_column(found, String()) for found in SOURCES.values()]
"""Where a row of `images` names the files it starts from."""
_ORIGINAL = literal_column(
    "CASE WHEN json_valid(request) THEN json_extract(request, '$.replay.original') END", String()
)
_IS_SEEN = text(
    "coalesce(CASE WHEN json_valid(jobs.request) THEN json_extract(jobs.request, '$.replay.is_unseen') END, 0) = 0"
)
"""Not a picture that was painted again because another one starts from it: no one has that, so no one can delete it."""
_IS_AWAITED = or_(
    JobRow.id.in_(select(ImageRow.job_id).where(IS_ALIVE)),
    JobRow.id.in_(select(DeliveryRow.job_id).where(text("deliveries.state = 'due'"))),
)
AT_ONCE = 500  # values in one IN: SQLite's limit on parameters is higher, but not everywhere
Upload = tuple[str, int]
"""A file, and the key of a member who attached it."""


class Holder(NamedTuple):
    """A picture that starts from a file, by whom and where; `ended_at` is None while it is to be made."""

    sha256: str
    member_key: int
    guild_id: int
    ended_at: datetime | None
    is_liked: bool
    is_made: bool


IsOver = Callable[[Holder], bool]
"""Whether a picture needs its upload no more."""


def _is_not_made(picture: Holder) -> bool:
    return picture.ended_at is not None and not picture.is_made


def record_uploads(session: Session, files: Collection[str], member_key: int) -> None:
    """Note that the member attached these files."""
    if not files:
        return
    mine = select(UploadRow.sha256).where(UploadRow.member_key == member_key, UploadRow.sha256.in_(files))
    if new := set(files) - set(session.scalars(mine)):
        session.execute(insert(UploadRow), [{"sha256": sha256, "member_key": member_key} for sha256 in sorted(new)])


def let_go(session: Session, files: Iterable[str], *, is_over: IsOver = _is_not_made) -> set[str]:
    """Forget who attached these files where no living picture of theirs starts from them.

    Return those that are left to no one. A picture lives while it waits or is painted, and then as long as its row
    names its file.
    """
    left = set(files)
    for some in in_parts(left):
        attached = _attached(session, UploadRow.sha256.in_(some))
        over = without_pictures(session, attached, is_over=is_over)
        for sha256, key in over:
            session.execute(delete(UploadRow).where(UploadRow.sha256 == sha256, UploadRow.member_key == key))
        left -= {sha256 for sha256, _ in attached - over}
    return left


def without_pictures(session: Session, uploads: Collection[Upload], *, is_over: IsOver) -> set[Upload]:
    """Those of `uploads`, some hundreds, of whose members no picture that starts from them is left."""
    held: set[Upload] = set()
    for query in holders({sha256 for sha256, _ in uploads}) if uploads else ():
        pictures = (Holder(*row) for row in session.execute(query))
        held.update((each.sha256, each.member_key) for each in pictures if not is_over(each))
    return set(uploads) - held


def holders(files: Collection[str]) -> Iterator[Select[str, int, int, datetime | None, bool, bool]]:
    """Queries for the pictures that start from these files and were not deleted, as `Holder`s: one an index."""
    liked = exists().where(FavouriteRow.job_id == ImageRow.job_id)
    is_made, is_deleted = ImageRow.file_sha256.is_not(None), ImageRow.file_sha256.is_(None)
    for name in NAMED:
        pictures = select(name, JobRow.member_key, JobRow.guild_id, ImageRow.ended_at, liked, is_made)
        pictures = pictures.join_from(ImageRow, JobRow, JobRow.id == ImageRow.job_id)
        is_there = and_(_IS_SEEN, not_(and_(ImageRow.status == Status.DONE, is_deleted)))
        yield pictures.where(name.in_(files), or_(IS_ALIVE, is_there))


def all_uploads(session: Session) -> set[Upload]:
    return _attached(session, true())


def _attached(session: Session, condition: ColumnElement[bool]) -> set[Upload]:
    rows = session.execute(select(UploadRow.sha256, UploadRow.member_key).where(condition))
    return {(sha256, key) for sha256, key in rows}


def unneeded(session: Session, files: set[str]) -> frozenset[str]:
    """Those of `files` that are no picture's, no upload that is needed, nor what one still to be made starts from.

    A file that only unseen pictures have is taken from them.
    """
    needed: set[str] = set()
    for some in in_parts(files):
        _take_from_unseen(session, some)
        needed.update(session.scalars(select(ImageRow.file_sha256).where(ImageRow.file_sha256.in_(some))))
        needed.update(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(some))))
    return unneeded_by_the_living(session, files - needed)


def _take_from_unseen(session: Session, files: Collection[str]) -> None:
    shown = select(ImageRow.file_sha256).join(JobRow, JobRow.id == ImageRow.job_id)
    shown = shown.where(ImageRow.file_sha256.in_(files), _IS_SEEN)
    left = set(files) - set(session.scalars(shown))
    session.execute(
        update(ImageRow)
        .where(ImageRow.file_sha256.in_(left))
        .values(file_sha256=None)
        .execution_options(synchronize_session=False)
    )


def unneeded_by_the_living(session: Session, files: set[str]) -> frozenset[str]:
    """Those of `files` that no picture still to be made starts from."""
    needed: set[str] = set()
    for spec in session.scalars(select(ImageRow.spec).where(IS_ALIVE)):
        needed |= spec.sources
    return frozenset(files - needed)


def strays(session: Session, files: Collection[str]) -> frozenset[str]:
    """Those of `files`, some hundreds, that no row needs: no picture, upload, review or reproduction.

    A finished picture does not need what it started from. What a reproduction is compared with is looked at when its
    result is posted, and not after that.
    """
    left = set(files)
    for name in (ImageRow.file_sha256, UploadRow.sha256):
        left -= set(session.scalars(select(name).where(name.in_(left)).distinct()))
    for source in NAMED:
        left -= set(session.scalars(select(source).select_from(ImageRow).where(IS_ALIVE, source.in_(left)).distinct()))
    left -= set(session.scalars(select(ReviewRow.sha256).where(ReviewRow.sha256.in_(left))))
    left -= set(session.scalars(select(_ORIGINAL).select_from(JobRow).where(_IS_AWAITED, _ORIGINAL.in_(left))))
    return frozenset(left)


def forget_pictures(session: Session, job_id: str) -> frozenset[str]:
    """Take a job's finished files from its rows, and name those nothing needs any more, its uploads among them."""
    own = select(ImageRow.file_sha256).where(ImageRow.job_id == job_id, ImageRow.file_sha256.is_not(None))
    forgotten = {str(sha256) for sha256 in session.scalars(own)}
    session.execute(
        update(ImageRow)
        .where(ImageRow.job_id == job_id)
        .values(file_sha256=None)
        .execution_options(synchronize_session=False)
    )
    started = session.execute(select(*NAMED).select_from(ImageRow).where(ImageRow.job_id == job_id)).all()
    return unneeded(session, forgotten | let_go(session, {str(each) for row in started for each in row if each}))


def in_parts(values: Iterable[T]) -> Iterator[list[T]]:
    every = list(values)
    for start in range(0, len(every), AT_ONCE):
        yield every[start : start + AT_ONCE]
