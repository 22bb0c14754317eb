"""Which files images refer to, and which of the files on disk are still needed.

Every question is asked in the transaction that gives files up, so that the answer holds. A finished picture needs its
own file. An upload is needed while a member who attached it has a living picture that starts from it; pictures that
others made from it do not hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, insert, or_, select, text
from sqlalchemy.orm import Session

from db.models import DeliveryRow, FileRole, ImageFileRow, ImageRow, JobRow, ReviewRow, UploadRow, table
from db.sql import Executor, JsonText
from generation.jobs.job import Image
from generation.requests.spec import ImageSpec

T = TypeVar("T")
IS_ALIVE = text("images.status IN ('waiting', 'running')")
"""Written out, not bound: only so does SQLite see that the index of living images will do."""
IS_SEEN = func.coalesce(JsonText(table(JobRow).c.request, "replay", "is_unseen"), "").not_in(("1", "true"))
"""Not a picture that was painted again because another one starts from it: no one has that, so no one can delete it."""
IS_RESULT = ImageFileRow.role == FileRole.RESULT
_CONTROLS = (FileRole.CONTROL, FileRole.CONTROL_2, FileRole.CONTROL_3)
_REFERENCES = (FileRole.REFERENCE, FileRole.REFERENCE_2, FileRole.REFERENCE_3, FileRole.REFERENCE_4)
_SEEN = (*_CONTROLS, *_REFERENCES, FileRole.IMAGE_PROMPT)
IS_SOURCE = ImageFileRow.role.in_((FileRole.START, FileRole.MASK, FileRole.UPSCALE, *_SEEN))
AT_ONCE = 500  # values in one IN: SQLite's limit on parameters is higher, but not everywhere

_IS_LIVING = or_(IS_ALIVE, and_(ImageRow.file_sha256.is_not(None), IS_SEEN))
_IS_STARTED_BY_LIVING = exists().where(
    ImageFileRow.sha256 == UploadRow.sha256,
    IS_SOURCE,
    ImageRow.id == ImageFileRow.image_id,
    JobRow.id == ImageRow.job_id,
    JobRow.member_key == UploadRow.member_key,
    _IS_LIVING,
)
_IS_DUE = exists().where(DeliveryRow.job_id == ImageRow.job_id, text("deliveries.state = 'due'"))
_INSERT = insert(table(ImageFileRow))


def record_sources(session: Executor, images: Sequence[Image], original: str | None) -> None:
    """Write down what new images start from, and the `original` they are compared with."""
    rows = [
        {"image_id": image.id, "role": role, "sha256": sha256}
        for image in images
        for role, sha256 in (_sources_of(image.spec) | {FileRole.ORIGINAL: original}).items()
        if sha256
    ]
    if rows:
        session.execute(_INSERT, rows)


def _sources_of(spec: ImageSpec) -> dict[FileRole, str | None]:
    found: dict[FileRole, str | None] = {
        **{role: each.sha256 for role, each in zip(_CONTROLS, spec.controls, strict=False)},
        **{role: each.sha256 for role, each in zip(_REFERENCES, spec.references, strict=False)},
    }
    if spec.start is not None:
        found |= {FileRole.START: spec.start.sha256, FileRole.MASK: spec.start.mask_sha256}
    if spec.upscale is not None:
        found[FileRole.UPSCALE] = spec.upscale.sha256
    if spec.image_prompt:
        found[FileRole.IMAGE_PROMPT] = spec.image_prompt.sha256
    return found


def record_result(session: Executor, image_id: str, sha256: str) -> None:
    """Write down the file of a finished picture."""
    session.execute(_INSERT, {"image_id": image_id, "role": FileRole.RESULT, "sha256": sha256})


def record_uploads(session: Executor, files: Collection[str], member_key: int) -> None:
    """Note that the member attached these files."""
    if not files:
        return
    mine = select(UploadRow.sha256).where(UploadRow.member_key == member_key, UploadRow.sha256.in_(files))
    if new := set(files) - set(session.scalars(mine)):
        session.execute(insert(UploadRow), [{"sha256": sha256, "member_key": member_key} for sha256 in sorted(new)])


def remove_results(session: Session, *where: ColumnElement[bool]) -> set[str]:
    """Remove the references to results where all conditions hold. Return the files they named."""
    removing = delete(ImageFileRow).where(IS_RESULT, *where).returning(ImageFileRow.sha256)
    return set(session.scalars(removing.execution_options(synchronize_session=False)))


def find_sources(session: Session, job_ids: Collection[str]) -> set[str]:
    """Return the files that the images of these jobs start from."""
    return set(session.scalars(select(ImageFileRow.sha256).where(is_of_jobs(job_ids), IS_SOURCE).distinct()))


def is_of_jobs(job_ids: Collection[str]) -> ColumnElement[bool]:
    """Return the condition for references of images of these jobs."""
    return ImageFileRow.image_id.in_(select(ImageRow.id).where(ImageRow.job_id.in_(job_ids)))


def release_uploads(session: Session, files: Iterable[str]) -> set[str]:
    """Forget who attached these files where no living picture of theirs starts from them.

    Return those that no member holds any more. A picture lives while it waits or runs, and then as long as it has its
    result. The database looks for one, however many there are.
    """
    left = set(files)
    for some in split(left):
        over = delete(UploadRow).where(UploadRow.sha256.in_(some), ~_IS_STARTED_BY_LIVING)
        session.execute(over.execution_options(synchronize_session=False))
        left -= set(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(some)).distinct()))
    return left


def find_unneeded(session: Session, files: set[str]) -> frozenset[str]:
    """Return those of `files` that are no result, no needed upload, and no source of an image still to be made.

    A file that only unseen pictures have is taken from them.
    """
    needed: set[str] = set()
    for some in split(files):
        _take_from_unseen(session, some)
        needed.update(session.scalars(_select_named(some).where(IS_RESULT)))
        needed.update(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(some))))
    return find_unawaited(session, files - needed)


def _select_named(files: Collection[str]) -> Select[str]:
    """Select those of `files` that images refer to."""
    return select(ImageFileRow.sha256).where(ImageFileRow.sha256.in_(files)).distinct()


def _take_from_unseen(session: Session, files: Collection[str]) -> None:
    shown = _select_named(files).join(ImageRow, ImageRow.id == ImageFileRow.image_id)
    shown = shown.join(JobRow, JobRow.id == ImageRow.job_id).where(IS_RESULT, IS_SEEN)
    unseen = set(files) - set(session.scalars(shown))
    remove_results(session, ImageFileRow.sha256.in_(unseen))


def find_unawaited(session: Session, files: set[str]) -> frozenset[str]:
    """Return those of `files` that no image still to be made starts from."""
    needed: set[str] = set()
    for some in split(files):
        needed.update(session.scalars(_select_named_by(some).where(IS_SOURCE, IS_ALIVE)))
    return frozenset(files - needed)


def _select_named_by(files: Collection[str]) -> Select[str]:
    return _select_named(files).join(ImageRow, ImageRow.id == ImageFileRow.image_id)


def find_strays(session: Session, files: Collection[str]) -> frozenset[str]:
    """Return those of `files`, some hundreds, that no row needs: no picture, upload, review or reproduction.

    A finished picture does not need what it started from. The original of a reproduction is looked at when the result
    is posted, and not after that.
    """
    left = set(files)
    left -= set(session.scalars(_select_named(left).where(IS_RESULT)))
    left -= set(session.scalars(select(UploadRow.sha256).where(UploadRow.sha256.in_(left)).distinct()))
    left -= set(session.scalars(_select_named_by(left).where(IS_ALIVE)))
    left -= set(session.scalars(select(ReviewRow.sha256).where(ReviewRow.sha256.in_(left))))
    left -= set(session.scalars(_select_named_by(left).where(ImageFileRow.role == FileRole.ORIGINAL, _IS_DUE)))
    return frozenset(left)


def forget_pictures(session: Session, *job_ids: str) -> frozenset[str]:
    """Remove the results of some jobs. Return the files that nothing needs any more, uploads among them."""
    removed = remove_results(session, is_of_jobs(job_ids))
    return find_unneeded(session, removed | release_uploads(session, find_sources(session, job_ids)))


def split(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values, at most `AT_ONCE` at a time."""
    every = list(values)
    for start in range(0, len(every), AT_ONCE):
        yield every[start : start + AT_ONCE]
