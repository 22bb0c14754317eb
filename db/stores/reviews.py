"""Pictures that safety withheld, kept blurred for a guild's moderators for a while, and what the checker said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db.batches import repeat_until_none
from db.engine import Database
from db.models import ImageRow, JobRow, ReviewRow
from db.stores.image_files import AT_ONCE
from generation.clock import Clock
from generation.safety.visibility import SafetyScores


@dataclass(frozen=True, slots=True)
class Review:
    """A blurred picture that waits for moderators, until when, and whose it is."""

    image_id: str
    sha256: str
    until: datetime
    user_id: int


class ReviewStore:
    """The withheld pictures that wait for moderators."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def fetch_reviews(self, guild_id: int) -> list[Review]:
        """Return what is kept for the guild's moderators, oldest first."""
        return await self._database.read(lambda session: _fetch_reviews(session, guild_id))

    async def count_reviews(self) -> dict[int, int]:
        """Return how many pictures wait for the moderators of each guild that has some."""
        return await self._database.read(_count_reviews)

    async def drop_reviewed(self) -> list[str]:
        """Forget what was kept long enough, some hundreds a transaction. Return the SHA-256 of the files to remove."""
        now = await self._database.confirmed_now(self._clock)
        over = select(ReviewRow.image_id).where(ReviewRow.until <= now).limit(AT_ONCE)
        files: list[str] = []
        async for some in repeat_until_none(
            self._database, lambda session: _drop_some(session, session.scalars(over).all())
        ):
            files += some
        return files

    async def fetch_judgements(self, guild_id: int, *, limit: int = 1000) -> list[SafetyScores]:
        """Return what the safety checker said of pictures of the guild's last `limit` jobs, newest first."""
        jobs = select(JobRow.id).where(JobRow.guild_id == guild_id).order_by(JobRow.created_at.desc()).limit(limit)
        judged = (
            select(ImageRow.judgement)
            .where(ImageRow.job_id.in_(jobs.scalar_subquery()), ImageRow.judgement.is_not(None))
            .order_by(ImageRow.ended_at.desc())
        )
        found = await self._database.read(lambda session: session.scalars(judged.limit(limit)).all())
        return [each for each in found if each is not None]


def keep_for_review(session: Session, job_id: str, image_id: str, sha256: str, *, at: datetime) -> None:
    """Keep the blurred file of a withheld image for as long as its job says."""
    hours = session.get_one(JobRow, job_id).handling.review_hours
    values = {"image_id": image_id, "sha256": sha256, "until": at + timedelta(hours=hours)}
    session.execute(insert(ReviewRow).values(values))


def drop_reviews(session: Session, image_ids: Sequence[str]) -> set[str]:
    """Forget what is kept of these images, some hundreds at most. Return the files that no other review needs."""
    these = ReviewRow.image_id.in_(image_ids)
    files = set(session.scalars(delete(ReviewRow).where(these).returning(ReviewRow.sha256)))
    return files - set(session.scalars(select(ReviewRow.sha256).where(ReviewRow.sha256.in_(files))))


def _drop_some(session: Session, image_ids: Sequence[str]) -> list[str] | None:
    return sorted(drop_reviews(session, image_ids)) if image_ids else None


def _count_reviews(session: Session) -> dict[int, int]:
    counted = select(JobRow.guild_id, func.count()).select_from(ReviewRow)
    counted = counted.join(ImageRow, ImageRow.id == ReviewRow.image_id).join(JobRow, JobRow.id == ImageRow.job_id)
    return {row[0]: row[1] for row in session.execute(counted.group_by(JobRow.guild_id))}


def _fetch_reviews(session: Session, guild_id: int) -> list[Review]:
    rows = session.execute(
        select(ReviewRow, JobRow)
        .join(ImageRow, ImageRow.id == ReviewRow.image_id)
        .join(JobRow, JobRow.id == ImageRow.job_id)
        .where(JobRow.guild_id == guild_id)
        .order_by(ReviewRow.until, ReviewRow.image_id)
    )
    return [Review(row.image_id, row.sha256, row.until, job.member.user_id) for row, job in rows]
