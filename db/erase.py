"""Forgetting: a job somebody deletes, or everything of a member who asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.files import in_parts, sources, unneeded
from db.jobs import settle_image, utc_now
from db.members import find_key
from db.models import ImageRow, JobRow, MemberRow, QuotaRow, ReviewRow
from generation.job import Outcome, Status
from generation.ports import Clock
from generation.quota import Scope

_CANCELLED = Outcome(status=Status.CANCELLED, charged=0)


async def delete_job(database: Database, job_id: str, *, clock: Clock = utc_now) -> frozenset[str]:
    """Forget a job, its pictures and where they were sent; what still waited or ran is refunded.

    Returns the SHA-256 of the files nothing needs any more: the caller removes them. An unknown job has none.
    """
    return await database.write(lambda session: _delete_job(session, job_id, at=clock()))


async def erase_user(database: Database, user_id: int, *, clock: Clock = utc_now) -> frozenset[str]:
    """Forget everything that leads to this Discord user; returns the files to remove, as `delete_job` does.

    Their postings stay under a key that leads to no one, so that the books still add up. When this returns, the
    deleted text is overwritten in the database file and gone from its log; earlier backups keep it until they age out.
    """
    files = await database.write(lambda session: _erase_user(session, user_id, at=clock()))
    await database.truncate_log()
    return files


def _delete_job(session: Session, job_id: str, *, at: datetime) -> frozenset[str]:
    files = _end_and_list_files(session, [job_id], at=at)
    session.execute(delete(JobRow).where(JobRow.id == job_id))
    return unneeded(session, files)


def _erase_user(session: Session, user_id: int, *, at: datetime) -> frozenset[str]:
    key = find_key(session, user_id)
    if key is None:
        return frozenset()
    job_ids = session.scalars(select(JobRow.id).where(JobRow.member_key == key)).all()
    files = _end_and_list_files(session, job_ids, at=at)
    session.execute(delete(QuotaRow).where(QuotaRow.scope == Scope.USER, QuotaRow.subject == key))
    session.execute(delete(MemberRow).where(MemberRow.key == key))  # jobs, images and deliveries go with it
    return unneeded(session, files)


def _end_and_list_files(session: Session, job_ids: Iterable[str], *, at: datetime) -> set[str]:
    """Settle what has not ended, at no charge, and name every file these jobs made or started from."""
    files: set[str] = set()
    for some in in_parts(job_ids):
        for image in session.scalars(select(ImageRow).where(ImageRow.job_id.in_(some))).all():
            if not image.status.is_end:
                settle_image(session, image.id, attempt=image.attempt, outcome=_CANCELLED, at=at)
            files |= sources(image.spec)
            if image.file_sha256 is not None:
                files.add(image.file_sha256)
        of_these = select(ReviewRow.sha256).join(ImageRow, ImageRow.id == ReviewRow.image_id)
        files.update(session.scalars(of_these.where(ImageRow.job_id.in_(some))))
    return files
