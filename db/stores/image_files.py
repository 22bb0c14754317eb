"""Which files on disk the rows still need: asked in the transaction that lets go of some, so that the answer holds.

A finished picture needs its own file. An upload is needed while a member who attached it has a living picture that
starts from it; what others painted from it does not hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from sqlalchemy import String, and_, delete, exists, insert, literal_column, or_, select, text, update
from sqlalchemy.orm import Session

from db.models import SOURCES, DeliveryRow, ImageRow, JobRow, ReviewRow, UploadRow

T = TypeVar("T")
IS_ALIVE = text("images.status IN ('waiting', 'running')")
"""Written out, not bound: only so does SQLite see that the index of living images will do."""
NAMED = [literal_column(found, String()) for found in SOURCES.values()]
"""Where a row of `images` names the files it starts from."""
_ORIGINAL = literal_column(
    "CASE WHEN json_valid(request) THEN json_extract(request, '$.replay.original') END", String()
)
IS_SEEN = text(
    "coalesce(CASE WHEN json_valid(jobs.request) THEN json_extract(jobs.request, '$.replay.is_unseen') END, 0) = 0"
)
"""Not a picture that was painted again because another one starts from it: no one has that, so no one can delete it."""
_IS_AWAITED = or_(
    JobRow.id.in_(select(ImageRow.job_id).where(IS_ALIVE)),
    JobRow.id.in_(select(DeliveryRow.job_id).where(text("deliveries.state = 'due'"))),
)
AT_ONCE = 500  # values in one IN: SQLite's limit on parameters is higher, but not everywhere
_IS_LIVING = or_(IS_ALIVE, and_(ImageRow.file_sha256.is_not(None), IS_SEEN))
_ATTACHED = literal_column("+uploads.sha256", String())
"""Without the column's affinity: only so does SQLite see that the indexes of `NAMED` will do."""
_STARTED_BY_LIVING = [
    exists().where(
        name == _ATTACHED, JobRow.id == ImageRow.job_id, JobRow.member_key == UploadRow.member_key, _IS_LIVING
    )
    for name in NAMED
]


def record_uploads(session: Session, files: Collection[str], member_key: int) -> None:
    """Note that the member attached these files."""
    if not files:
        return
    mine = select(UploadRow.sha256).where(UploadRow.member_key == member_key, UploadRow.sha256.in_(files))
    if new := set(files) - set(session.scalars(mine)):
        session.execute(insert(UploadRow), [{"sha256": sha256, "member_key": member_key} for sha256 in sorted(new)])


def let_go(session: Session, files: Iterable[str]) -> set[str]:
    """Forget who attached these files where no living picture of theirs starts from them.

    Return those that are left to no one. A picture lives while it waits or is painted, and then as long as its row
    names its file. The database looks for one, however many there are.
    """
    left = set(files)
    for some in in_parts(left):
        over = delete(UploadRow).where(UploadRow.sha256.in_(some), ~or_(*_STARTED_BY_LIVING))
        session.execute(over.execution_options(synchronize_session=False))
        left -= set(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(some)).distinct()))
    return left


def unneeded(session: Session, files: set[str]) -> frozenset[str]:
    """Those of `files` that are no picture's, no upload that is needed, nor what one still to be made starts from.

    A file that only unseen pictures have is taken from them.
    """
    needed: set[str] = set()
    for some in in_parts(files):
        _take_from_unseen(session, some)
        needed.update(session.scalars(select(ImageRow.file_sha256).where(ImageRow.file_sha256.in_(some)).distinct()))
        needed.update(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(some))))
    return unneeded_by_the_living(session, files - needed)


def _take_from_unseen(session: Session, files: Collection[str]) -> None:
    shown = select(ImageRow.file_sha256).join(JobRow, JobRow.id == ImageRow.job_id)
    shown = shown.where(ImageRow.file_sha256.in_(files), IS_SEEN)
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
    for some in in_parts(files):
        for name in NAMED:
            needed.update(session.scalars(select(name).select_from(ImageRow).where(name.in_(some), IS_ALIVE)))
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


def forget_pictures(session: Session, *job_ids: str) -> frozenset[str]:
    """Take the finished files of some jobs from their rows. Name what nothing needs any more, uploads among it."""
    of_these = ImageRow.job_id.in_(job_ids)
    own = select(ImageRow.file_sha256).where(of_these, ImageRow.file_sha256.is_not(None))
    forgotten = {str(sha256) for sha256 in session.scalars(own)}
    forget = update(ImageRow).where(of_these).values(file_sha256=None)
    session.execute(forget.execution_options(synchronize_session=False))
    started = session.execute(select(*NAMED).select_from(ImageRow).where(of_these)).all()
    return unneeded(session, forgotten | let_go(session, {str(each) for row in started for each in row if each}))


def in_parts(values: Iterable[T]) -> Iterator[list[T]]:
    every = list(values)
    for start in range(0, len(every), AT_ONCE):
        yield every[start : start + AT_ONCE]
