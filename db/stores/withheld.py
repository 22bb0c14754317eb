"""Pictures that may not be shown: refunded after the fact, or kept blurred for a guild's moderators for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import ImageFileRow, ImageRow, JobRow, MemberRow, ReviewRow
from db.stores.image_files import AT_ONCE, find_unneeded, remove_results
from db.stores.ledger import Account, Posting, post
from generation.jobs.job import Status
from generation.owner import Owner
from generation.policy.quota import Usage, window_of


@dataclass(frozen=True, slots=True)
class Kept:
    """A blurred picture that waits for moderators, until when, and whose it is."""

    image_id: str
    sha256: str
    until: datetime
    user_id: int


def withhold(session: Session, image_id: str, *, at: datetime) -> frozenset[str]:
    """DONE becomes WITHHELD, and what was charged is posted back. The files that nothing needs any more."""
    image = session.get(ImageRow, image_id)
    if image is None or image.status is not Status.DONE:
        return frozenset()
    job = session.get_one(JobRow, image.job_id)
    charged = image.charged
    session.execute(
        update(ImageRow)
        .where(ImageRow.id == image_id, ImageRow.status == Status.DONE)
        .values(status=Status.WITHHELD, charged=0, error="Withheld")
        .execution_options(synchronize_session=False)
    )
    if charged:
        account = Account(guild_id=job.guild_id, member_key=job.member_key, window=window_of(job.created_at))
        back = Posting(kind="correct", image_id=image_id, adds=Usage(num_images=-1, used=-charged))
        post(session, account, [back], at=at)
    return find_unneeded(session, remove_results(session, ImageFileRow.image_id == image_id))


def fetch_withheld(session: Session, *, ended_since: datetime) -> dict[Owner, list[datetime]]:
    """When pictures that were kept back since then had been asked for, by who asked."""
    late = (ImageRow.status == Status.WITHHELD, ImageRow.ended_at >= ended_since)
    of_member = select(JobRow.guild_id, MemberRow.user_id, JobRow.created_at).join(JobRow.member).join(JobRow.images)
    times = defaultdict[Owner, list[datetime]](list)
    for guild_id, user_id, at in session.execute(of_member.where(*late)):
        times[Owner(guild_id, user_id)].append(at)
    return times


def keep_for_review(session: Session, job_id: str, image_id: str, sha256: str, *, at: datetime) -> None:
    hours = session.get_one(JobRow, job_id).handling.review_hours
    values = {"image_id": image_id, "sha256": sha256, "until": at + timedelta(hours=hours)}
    session.execute(insert(ReviewRow).values(values))


async def drop_reviewed(database: Database, *, now: datetime) -> list[str]:
    """Forget what has been kept long enough, some hundreds a transaction. The SHA-256 of the files to remove."""
    over = select(ReviewRow.image_id).where(ReviewRow.until <= now).limit(AT_ONCE)
    files: list[str] = []
    while (some := await database.write(lambda session: _drop_some(session, session.scalars(over).all()))) is not None:
        files += some
    return files


def _drop_some(session: Session, image_ids: Sequence[str]) -> list[str] | None:
    return sorted(drop_reviews(session, image_ids)) if image_ids else None


def drop_reviews(session: Session, image_ids: Sequence[str]) -> set[str]:
    """Forget what is kept of these images, some hundreds at most. The files that no other review needs."""
    these = ReviewRow.image_id.in_(image_ids)
    files = set(session.scalars(delete(ReviewRow).where(these).returning(ReviewRow.sha256)))
    return files - set(session.scalars(select(ReviewRow.sha256).where(ReviewRow.sha256.in_(files))))


async def fetch_reviews(database: Database, guild_id: int) -> list[Kept]:
    """What is kept for a guild's moderators, oldest first."""

    def read(session: Session) -> list[Kept]:
        rows = session.execute(
            select(ReviewRow, JobRow)
            .join(ImageRow, ImageRow.id == ReviewRow.image_id)
            .join(JobRow, JobRow.id == ImageRow.job_id)
            .where(JobRow.guild_id == guild_id)
            .order_by(ReviewRow.until, ReviewRow.image_id)
        )
        return [Kept(row.image_id, row.sha256, row.until, job.member.user_id) for row, job in rows]

    return await database.read(read)
