"""Which files need not stay on disk: finished pictures that a guild keeps no longer, and what no row names.

The rows of the former stay: what is needed again is painted again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db.backup import kept_beside
from db.clock import EARLIEST
from db.engine import Database
from db.files import (
    Holder,
    IsOver,
    all_uploads,
    in_parts,
    let_go,
    strays,
    unneeded,
    unneeded_by_the_living,
    without_pictures,
)
from db.jobs import utc_now
from db.models import FavouriteRow, GuildSettingsRow, ImageRow, JobRow, LedgerRow
from generation.ports import Clock

NOT_MADE_KEPT = timedelta(days=1)


class RetentionStore:
    """Names files whose time is over."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def fetch_expired(self) -> frozenset[str]:
        """SHA-256 of every file that no picture still within its guild's time has, no favourite, and nothing waits for.

        Files that are gone already are named again each time.
        """
        now = await self.fetch_confirmed_now()
        return await self._database.read(lambda session: _expired(session, now))

    async def fetch_confirmed_now(self) -> datetime:
        """The time that a day of running has confirmed: see `db.clock`."""
        return await self._database.confirmed_now(self._clock)

    async def expire(self) -> frozenset[str]:
        """SHA-256 of every file whose time is over: of pictures (`fetch_expired`), and uploads, which are forgotten."""
        return await self.fetch_expired() | await self.drop_uploads()

    async def drop_uploads(self) -> frozenset[str]:
        """Forget the uploads that no picture in its time starts from; the SHA-256 of files nothing needs any more.

        One that never came to be holds its upload for a day, so that it can be asked for again.
        """
        now, gone = self._clock(), set[str]()
        ends = await self._database.read(lambda session: _ends(session, now))
        over = await self._database.read(lambda session: _over(session, _is_over(ends, now)))
        for some in in_parts(over):
            gone |= await self._database.write(partial(_drop, files=some, is_over=_is_over(ends, now)))
        return frozenset(gone)

    async def fetch_watched_since(self) -> datetime | None:
        """From when on a file is a stray if no row names it; None while there is no saying.

        An older one may be named by another database: one that was lost, that this took the place of by mistake, or
        that a restore set aside, as long as it lies there.
        """
        file = Path(str(self._database.url.database))
        return await self._database.read(lambda session: _watched_since(session, kept_beside(file)))

    async def fetch_strays(self, files: Collection[str]) -> frozenset[str]:
        """Those of `files`, some hundreds, that no row names."""
        return await self._database.read(lambda session: strays(session, files))


def _watched_since(session: Session, set_aside: Path) -> datetime | None:
    """The ledger's first line is the oldest there is of a database, for nothing in it is ever deleted."""
    first = session.scalar(select(LedgerRow.at).order_by(LedgerRow.id).limit(1))
    if first is None or first < EARLIEST:
        return None
    if not set_aside.exists():
        return first
    return max(first, datetime.fromtimestamp(set_aside.stat().st_ctime, UTC))


def _ends(session: Session, now: datetime) -> dict[int, datetime]:
    """Pictures that ended before have outlived what their guild keeps, by guild."""
    return {
        row.guild_id: now - timedelta(days=row.choices.retention_days)
        for row in session.scalars(select(GuildSettingsRow))
        if row.choices.retention_days
    }


def _is_over(ends: dict[int, datetime], now: datetime) -> IsOver:
    def is_over(picture: Holder) -> bool:
        if picture.ended_at is None:
            return False
        if not picture.is_made:
            return picture.ended_at < now - NOT_MADE_KEPT
        end = ends.get(picture.guild_id)
        return end is not None and picture.ended_at < end and not picture.is_liked

    return is_over


def _over(session: Session, is_over: IsOver) -> set[str]:
    return {
        sha256
        for some in in_parts(all_uploads(session))
        for sha256, _ in without_pictures(session, some, is_over=is_over)
    }


def _drop(session: Session, files: Collection[str], is_over: IsOver) -> frozenset[str]:
    return unneeded(session, let_go(session, files, is_over=is_over))


def _expired(session: Session, now: datetime) -> frozenset[str]:
    ends = _ends(session, now)
    expired: set[str] = set()
    for guild_id, before in ends.items():
        old = select(ImageRow.file_sha256).join(JobRow, JobRow.id == ImageRow.job_id)
        old = old.where(JobRow.guild_id == guild_id, ImageRow.file_sha256.is_not(None))
        old = old.where(ImageRow.ended_at < before, ImageRow.ended_at >= EARLIEST)
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
            if is_liked or guild_id not in ends or ended_at is None or not EARLIEST <= ended_at < ends[guild_id]:
                kept.add(str(sha256))
    return kept
