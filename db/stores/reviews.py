"""Pictures that safety withheld, kept blurred for a guild's moderators for a while, and what the checker said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, Subquery, delete, func, insert, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.batches import repeat_until_none
from db.engine import Database
from db.group_commit import T
from db.models import ImageRow, JobRow, MemberRow, ReportRow, ReviewRow
from db.sql import Unindexed
from db.stores.image_files import AT_ONCE
from generation.clock import Clock
from generation.jobs.job import split_image_id
from generation.safety.visibility import SafetyScores


@dataclass(frozen=True, slots=True)
class Review:
    """A blurred picture that waits for moderators, until when, and whose it is."""

    image_id: str
    sha256: str
    until: datetime
    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that waits for moderators: reported, or with withheld pictures that are kept for them."""

    job_id: str
    guild_id: int
    reasons: tuple[str, ...]
    """Of the reports, oldest first; empty if there are none."""
    kept: tuple[Review, ...]


class ReviewStore:
    """What waits for moderators."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def fetch_reviews(self, guild_id: int) -> list[Review]:
        """Return what is kept for the guild's moderators, oldest first."""
        return await self._database.read(lambda session: _read_reviews(session, _of_job(JobRow.guild_id) == guild_id))

    async def count_waiting(self) -> dict[int, int]:
        """Return how many jobs wait for the moderators of each guild that has some."""
        return await self._database.read(_count_waiting)

    async def fetch_waiting(self, guild_ids: Collection[int], *, limit: int) -> list[Waiting]:
        """Return the jobs that wait for the moderators of these guilds, oldest first."""
        return await self._database.read(lambda session: _fetch_waiting(session, guild_ids, limit=limit))

    async def fetch_waiting_job(self, job_id: str) -> Waiting | None:
        """Return what waits of a job, if anything does."""

        def read(session: Session) -> Waiting | None:
            guild_id = session.scalar(select(JobRow.guild_id).where(JobRow.id == job_id))
            found = [] if guild_id is None else _fetch_of_jobs(session, {job_id: guild_id})
            return next((each for each in found if each.reasons or each.kept), None)

        return await self._database.read(read)

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


def _list_waiting() -> Subquery:
    """Return the ids of all jobs that wait: as many as there are reports and withheld pictures, at most."""
    return union(select(ReportRow.job_id), select(_of_job(JobRow.id)).select_from(ReviewRow)).subquery("waiting")


def _of_job(column: InstrumentedAttribute[T]) -> ScalarSelect[T]:
    """Return a column of the job of a review. Looked up for each review: as a join, a database would begin with all
    pictures, or with all of a guild, as often as not."""
    found = select(column).join(ImageRow, ImageRow.job_id == JobRow.id).where(ImageRow.id == ReviewRow.image_id)
    return found.correlate(ReviewRow).scalar_subquery()


def _count_waiting(session: Session) -> dict[int, int]:
    waiting = _list_waiting()
    counted = select(JobRow.guild_id, func.count()).join(waiting, waiting.c.job_id == JobRow.id)
    return {row[0]: row[1] for row in session.execute(counted.group_by(JobRow.guild_id))}


def _fetch_waiting(session: Session, guild_ids: Collection[int], *, limit: int) -> list[Waiting]:
    waiting = _list_waiting()
    oldest = select(JobRow.id, JobRow.guild_id).join(waiting, waiting.c.job_id == JobRow.id)
    oldest = oldest.where(Unindexed(JobRow.guild_id).in_(guild_ids)).order_by(JobRow.created_at, JobRow.id).limit(limit)
    return _fetch_of_jobs(session, {row[0]: row[1] for row in session.execute(oldest)})


def _fetch_of_jobs(session: Session, guilds: Mapping[str, int]) -> list[Waiting]:
    """Return what waits of these jobs, in their order; `guilds` has the guild of each."""
    reports = session.scalars(select(ReportRow).where(ReportRow.job_id.in_(guilds)).order_by(ReportRow.id)).all()
    images = select(ImageRow.id).where(ImageRow.job_id.in_(guilds))
    kept = _read_reviews(session, ReviewRow.image_id.in_(images))
    return [
        Waiting(
            job_id=job_id,
            guild_id=guild_id,
            reasons=tuple(each.reason for each in reports if each.job_id == job_id),
            kept=tuple(each for each in kept if split_image_id(each.image_id)[0] == job_id),
        )
        for job_id, guild_id in guilds.items()
    ]


def _read_reviews(session: Session, *which: ColumnElement[bool]) -> list[Review]:
    member = select(MemberRow.user_id).where(MemberRow.key == _of_job(JobRow.member_key)).scalar_subquery()
    rows = session.execute(select(ReviewRow, member).where(*which).order_by(ReviewRow.until, ReviewRow.image_id))
    return [Review(row.image_id, row.sha256, row.until, user_id) for row, user_id in rows]
