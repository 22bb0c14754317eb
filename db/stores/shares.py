"""What is shared where: one post for each job at most."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import ImageFileRow, ImageRow, ShareRow
from db.stores.image_files import IS_RESULT
from generation.jobs.share import Share


class ShareStore:
    """Reads and writes shares. A row is there before its post, and until its post is deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(self, job_id: str) -> Share | None:
        """Return where a job is shared; None if it is not."""
        return await self._database.read(lambda session: _fetch(session, job_id))

    async def reserve(self, job_id: str, *, guild_id: int, channel_id: int, at: datetime) -> Share:
        """Return the share of a job: a new one without a post, or the one that is there."""
        return await self._database.write(lambda session: _reserve(session, job_id, guild_id, channel_id, at))

    async def set_post(self, share: Share, *, channel_id: int, message_id: int, is_thread: bool) -> None:
        """Keep where the post of a share stands."""
        values = {"channel_id": channel_id, "message_id": message_id, "is_thread": is_thread}
        changing = update(ShareRow).where(ShareRow.id == share.id).values(**values)
        await self._database.write(lambda session: session.execute(changing) and None)

    async def forget(self, share: Share) -> None:
        """Forget a share: its post is gone, or never was there."""
        removing = delete(ShareRow).where(ShareRow.id == share.id)
        await self._database.write(lambda session: session.execute(removing) and None)

    async def fetch_orphans(self) -> list[Share]:
        """Return the shares with nothing left to show: their job or all of its pictures are gone."""
        return await self._database.read(_fetch_orphans)

    async def fetch_files(self) -> dict[Share, frozenset[str]]:
        """Return the files that every share shows, by SHA-256."""
        return await self._database.read(_fetch_files)


def _fetch(session: Session, job_id: str) -> Share | None:
    row = session.scalars(select(ShareRow).where(ShareRow.job_id == job_id)).first()
    return None if row is None else _build(row)


def _reserve(session: Session, job_id: str, guild_id: int, channel_id: int, at: datetime) -> Share:
    found = _fetch(session, job_id)
    if found is not None:
        return found
    row = ShareRow(guild_id=guild_id, job_id=job_id, channel_id=channel_id, message_id=None, is_thread=False, at=at)
    session.add(row)
    session.flush()
    return _build(row)


def _fetch_orphans(session: Session) -> list[Share]:
    shown = select(ImageFileRow.image_id).join(ImageRow, ImageRow.id == ImageFileRow.image_id)
    has_pictures = exists(shown.where(ImageRow.job_id == ShareRow.job_id, IS_RESULT))
    rows = session.scalars(select(ShareRow).where(or_(ShareRow.job_id.is_(None), ~has_pictures)))
    return [_build(row) for row in rows]


def _fetch_files(session: Session) -> dict[Share, frozenset[str]]:
    files: dict[Share, set[str]] = {}
    # From the shares outwards: the other way round a database would go through all files there are.
    results = select(ShareRow, ImageFileRow.sha256).outerjoin(ImageRow, ImageRow.job_id == ShareRow.job_id)
    results = results.outerjoin(ImageFileRow, and_(ImageFileRow.image_id == ImageRow.id, IS_RESULT))
    for row, sha256 in session.execute(results):
        if sha256 is not None:
            files.setdefault(_build(row), set()).add(sha256)
    return {share: frozenset(found) for share, found in files.items()}


def _build(row: ShareRow) -> Share:
    return Share(
        id=row.id,
        guild_id=row.guild_id,
        job_id=row.job_id,
        channel_id=row.channel_id,
        message_id=row.message_id,
        is_thread=row.is_thread,
        at=row.at,
    )
