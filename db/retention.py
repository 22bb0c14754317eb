"""Which finished pictures a guild no longer keeps on disk. The rows stay: what is needed again is painted again."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.files import in_parts, unneeded_by_the_living
from db.jobs import utc_now
from db.models import FavouriteRow, GuildSettingsRow, ImageRow, JobRow
from generation.ports import Clock


class RetentionStore:
    """Names files whose time is over."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def fetch_expired(self) -> frozenset[str]:
        """SHA-256 of every file that no picture still within its guild's time has, no favourite, and nothing waits for.

        Files that are gone already are named again each time.
        """
        return await self._database.read(lambda session: _expired(session, self._clock()))


def _expired(session: Session, now: datetime) -> frozenset[str]:
    ends = {
        row.guild_id: now - timedelta(days=row.choices.retention_days)
        for row in session.scalars(select(GuildSettingsRow))
        if row.choices.retention_days
    }
    expired: set[str] = set()
    for guild_id, before in ends.items():
        old = select(ImageRow.file_sha256).join(JobRow, JobRow.id == ImageRow.job_id)
        old = old.where(JobRow.guild_id == guild_id, ImageRow.file_sha256.is_not(None), ImageRow.ended_at < before)
        expired.update(str(sha256) for sha256 in session.scalars(old))
    return unneeded_by_the_living(session, expired - _kept(session, expired, ends))


def _kept(session: Session, files: set[str], ends: dict[int, datetime]) -> set[str]:
    """Those that somebody likes, or that another picture in its time also has: files are shared by content."""
    liked = exists().where(FavouriteRow.job_id == ImageRow.job_id)
    kept: set[str] = set()
    for some in in_parts(files):
        holders = select(ImageRow.file_sha256, ImageRow.ended_at, JobRow.guild_id, liked)
        for sha256, ended_at, guild_id, is_liked in session.execute(
            holders.join(JobRow, JobRow.id == ImageRow.job_id).where(ImageRow.file_sha256.in_(some))
        ):
            if is_liked or guild_id not in ends or ended_at is None or ended_at >= ends[guild_id]:
                kept.add(str(sha256))
    return kept
