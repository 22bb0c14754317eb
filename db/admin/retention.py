"""Which files need not stay on disk: finished pictures that a guild keeps no longer, and what no row names.

The rows of the former stay: what is needed again is painted again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

from sqlalchemy import ColumnElement, and_, delete, exists, func, not_, or_, select, tuple_
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import FavouriteRow, GuildSettingsRow, ImageFileRow, ImageRow, JobRow, LedgerRow, UploadRow, table
from db.running_time import EARLIEST
from db.sql import JsonText
from db.stores.image_files import (
    AT_ONCE,
    IS_ALIVE,
    IS_RESULT,
    IS_SEEN,
    IS_SOURCE,
    find_strays,
    find_unawaited,
    find_unneeded,
)
from generation.clock import Clock, utc_now
from generation.jobs.job import Status

NOT_MADE_KEPT = timedelta(days=1)
_UPLOADS_AT_ONCE = 200
Upload = tuple[str, int]
"""A file, and the key of a member who attached it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A picture that has a file, or starts from it, by whom and where; `ended_at` is None while it is to be made."""

    sha256: str
    member_key: int = field(repr=False)
    guild_id: int
    ended_at: datetime | None
    is_liked: bool
    is_made: bool


IsOver = Callable[[Holder], bool]
"""Whether a picture needs its file, and its upload, no more."""


class RetentionStore:
    """Names files whose time is over. `now`: by a clock that is right, `fetch_confirmed_now`."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def fetch_confirmed_now(self) -> datetime:
        """Return the time that a day of running has confirmed: see `db.running_time`."""
        return await self._database.confirmed_now(self._clock)

    async def has_limits(self) -> bool:
        """Whether any guild keeps its pictures for some days only."""
        days = func.coalesce(JsonText(table(GuildSettingsRow).c.choices, "retention_days"), "0")
        limited = select(GuildSettingsRow.guild_id).where(days != "0", ~days.startswith("-")).limit(1)
        return await self._database.read(lambda session: session.scalar(limited)) is not None

    async def fetch_expired(self, files: Collection[str], *, now: datetime) -> frozenset[str]:
        """Those of `files`, some hundreds, whose time is over: no guild keeps them, no member likes them.

        What no picture is stays. Asked of what lies on disk, the work does not grow with all that ever lay there.
        """
        return await self._database.read_apart(lambda session: _expired(session, files, now))

    async def drop_uploads(self, *, now: datetime) -> AsyncIterator[frozenset[str]]:
        """Forget the uploads that no picture in its time starts from; yield the SHA-256 of files nothing needs now.

        One that never came to be holds its upload for a day, so that it can be asked for again. Some hundreds at a
        time: what is over is looked for beside the writer, which looks at no others.
        """
        after: Upload = ("", 0)
        while uploads := await self._database.read_apart(partial(_some_uploads, after=after)):
            if over := await self._database.read_apart(partial(_without_pictures, uploads=uploads, now=now)):
                yield await self._database.write(partial(_drop, uploads=over, now=now))
            after = uploads[-1]

    async def fetch_watched_since(self) -> datetime | None:
        """From when on a file is a stray if no row names it; None while there is no saying.

        An older one may be named by another database: one that was lost, that this took the place of by mistake, or
        that a restore set aside, as long as it lies there.
        """
        set_aside = self._database.backend.set_aside
        return await self._database.read(lambda session: _watched_since(session, set_aside))

    async def fetch_strays(self, files: Collection[str]) -> frozenset[str]:
        """Those of `files`, some hundreds, that no row names."""
        return await self._database.read(lambda session: find_strays(session, files))


def _watched_since(session: Session, set_aside: Path | None) -> datetime | None:
    """Return the time of the ledger's first row, the oldest of a database: nothing in the ledger is ever deleted."""
    first = session.scalar(select(LedgerRow.at).order_by(LedgerRow.id).limit(1))
    if first is None or first < EARLIEST:
        return None
    if set_aside is None or not set_aside.exists():
        return first
    return max(first, datetime.fromtimestamp(set_aside.stat().st_ctime, UTC))


def _expired(session: Session, files: Collection[str], now: datetime) -> frozenset[str]:
    """Return the files of which no picture is kept: all pictures of the same content share one."""
    is_over, found, kept = _is_over(session, now), set[str](), set[str]()
    for picture in _pictures(session, ImageFileRow.sha256.in_(files), IS_RESULT, is_made=IS_RESULT):
        found.add(picture.sha256)
        if not is_over(picture):
            kept.add(picture.sha256)
    return find_unawaited(session, found - kept)


def _some_uploads(session: Session, *, after: Upload) -> list[Upload]:
    """Return the next uploads in the order of their key."""
    key = (UploadRow.sha256, UploadRow.member_key)
    rows = session.execute(select(*key).where(tuple_(*key) > after).order_by(*key).limit(_UPLOADS_AT_ONCE))
    return [(sha256, member_key) for sha256, member_key in rows]


def _without_pictures(session: Session, *, uploads: Collection[Upload], now: datetime) -> set[Upload]:
    """Those of `uploads`, some hundreds, of whose members no picture in its time is left that starts from them."""
    is_over, files = _is_over(session, now), {sha256 for sha256, _ in uploads}
    was_deleted = and_(ImageRow.status == Status.DONE, ImageRow.file_sha256.is_(None))
    is_there = or_(IS_ALIVE, and_(IS_SEEN, not_(was_deleted)))
    is_made = ImageRow.file_sha256.is_not(None)
    pictures = _pictures(session, ImageFileRow.sha256.in_(files), IS_SOURCE, is_there, is_made=is_made)
    return set(uploads) - {(each.sha256, each.member_key) for each in pictures if not is_over(each)}


def _drop(session: Session, *, uploads: Collection[Upload], now: datetime) -> frozenset[str]:
    over = _without_pictures(session, uploads=uploads, now=now)  # asked again: others have written meanwhile
    files = {sha256 for sha256, _ in over}
    # SQLite finds rows by the column, and would read all of them for the pair.
    is_over = and_(UploadRow.sha256.in_(files), tuple_(UploadRow.sha256, UploadRow.member_key).in_(over))
    session.execute(delete(UploadRow).where(is_over))
    return find_unneeded(session, files)


def _pictures(session: Session, *where: ColumnElement[bool], is_made: ColumnElement[bool]) -> Iterator[Holder]:
    """Yield the pictures that refer to a file so, with that file."""
    liked = exists().where(FavouriteRow.job_id == ImageRow.job_id)
    pictures = select(ImageFileRow.sha256, JobRow.member_key, JobRow.guild_id, ImageRow.ended_at, liked, is_made)
    pictures = pictures.join_from(ImageFileRow, ImageRow, ImageRow.id == ImageFileRow.image_id)
    pictures = pictures.join(JobRow, JobRow.id == ImageRow.job_id).where(*where)
    for row in session.execute(pictures.execution_options(yield_per=AT_ONCE)):
        yield Holder(*row)


def _is_over(session: Session, now: datetime) -> IsOver:
    @cache
    def end_in(guild_id: int) -> datetime | None:
        """Before when a picture must have ended for its guild to keep it no longer; None if it keeps it for ever."""
        row = session.get(GuildSettingsRow, guild_id)
        return now - timedelta(days=row.choices.retention_days) if row and row.choices.retention_days else None

    def is_over(picture: Holder) -> bool:
        end = end_in(picture.guild_id) if picture.is_made else now - NOT_MADE_KEPT
        if picture.ended_at is None or end is None or (picture.is_made and picture.is_liked):
            return False
        return EARLIEST <= picture.ended_at < end

    return is_over
