"""The pages of a member's history, and a job's family along `jobs.parent`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from unicodedata import category

from sqlalchemy import ColumnElement, Text, exists, func, or_, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.engine import Database
from db.models import DeliveryRow, FavouriteRow, ImageRow, JobRow, ShareRow
from db.sql import HasOtherThanAscii, Unindexed, select_distinct
from db.stores.job_rows import build_job
from db.stores.members import find_key
from generation.jobs.history import HistoryFilter, Relatives
from generation.jobs.job import Job, split_image_id
from generation.owner import NO_SERVERS, Owner
from generation.requests.drawing import list_prompts

MAX_GENERATIONS = 8
MAX_CHILDREN = 10
NUM_LOOKED_AT = 1000
"""So many of the owner's last jobs are looked at for one in a channel."""
_AT_A_TIME = 200
_ESCAPED = set('"\\')
"""What JSON writes in another way."""


class HistoryStore:
    """Reads finished jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch_page(
        self, owner: Owner, look: HistoryFilter, *, limit: int, before: datetime | None = None
    ) -> list[Job]:
        """Return the owner's jobs (or favourites) in that guild with pictures, newest first, created before `before`.

        A job without a delivery (a picture painted again because its file was gone) is left out.
        """
        return await self._database.read_apart(lambda session: _page(session, owner, look, limit=limit, before=before))

    async def fetch_guilds(self, user_id: int) -> list[int]:
        """Return the ids of the guilds (and tenants without one) in which the user has jobs, the newest first."""
        return await self._database.read(lambda session: _guilds(session, user_id))

    async def fetch_shared(
        self, guild_id: int, look: HistoryFilter, *, limit: int, before: datetime | None = None
    ) -> list[Job]:
        """Return the jobs with these words in the showcase of a guild, newest first, created before `before`."""
        shared = select(ShareRow.job_id).where(ShareRow.guild_id == guild_id, ShareRow.message_id.is_not(None))
        conditions = [JobRow.id.in_(shared)]
        return await self._database.read(lambda session: _find(session, conditions, look, limit=limit, before=before))

    async def fetch_last(self, owner: Owner, channel_id: int) -> Job | None:
        """Return the owner's newest job with pictures whose message is in that channel; None if none of their last
        `NUM_LOOKED_AT` is."""
        return await self._database.read(lambda session: _last(session, owner, channel_id))

    async def fetch_kin(self, job: Job) -> Relatives:
        """Return the nearest ancestors and the newest children of a job. One that was erased ends the line."""
        return await self._database.read(lambda session: _kin(session, job))

    async def is_favourite(self, job_id: str, user_id: int) -> bool:
        return await self._database.read(lambda session: _is_favourite(session, job_id, user_id))


def _page(session: Session, owner: Owner, look: HistoryFilter, *, limit: int, before: datetime | None) -> list[Job]:
    return _find(session, _conditions(session, owner, look), look, limit=limit, before=before)


def _find(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    look: HistoryFilter,
    *,
    limit: int,
    before: datetime | None,
) -> list[Job]:
    """Search for words here: each database folds the case of letters differently. It leaves out what cannot match."""
    wanted = select(JobRow.id, JobRow.request).where(*conditions, *_may_hold(look.words))
    if before is not None:
        wanted = wanted.where(JobRow.created_at < before)
    rows = session.execute(
        wanted.order_by(JobRow.created_at.desc(), JobRow.id.desc()).execution_options(yield_per=_AT_A_TIME)
    )
    found: list[str] = []
    for job_id, request in rows:
        if any(map(look.matches, list_prompts(request))):
            found.append(job_id)
        if len(found) == limit:
            break
    rows.close()
    jobs = {row.id: build_job(row) for row in session.scalars(select(JobRow).where(JobRow.id.in_(found)))}
    return [jobs[job_id] for job_id in found]


def _may_hold(words: str) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that every job with these words fulfils (`HistoryFilter.matches`), and few others.

    To read a request as JSON takes twenty times as long. Letters beyond ASCII are folded in ways of their own: “ſ” is
    an “s”. Those without case, as in Chinese, are themselves.
    """
    text = type_coerce(JobRow.request, Text)
    for word in words.casefold().split():
        if not word.isascii():
            yield HasOtherThanAscii(text)
            if all(category(letter) == "Lo" for letter in word):
                yield text.contains(word, autoescape=True)
        elif word.isprintable() and not set(word) & _ESCAPED:
            yield or_(text.icontains(word, autoescape=True), HasOtherThanAscii(text))


def _guilds(session: Session, user_id: int) -> list[int]:
    mine = JobRow.member_key == find_key(session, user_id)
    guilds = select_distinct(JobRow.guild_id, mine).subquery()
    newest = select(func.max(JobRow.created_at)).where(mine, JobRow.guild_id == guilds.c.value).scalar_subquery()
    return list(session.scalars(select(guilds.c.value).order_by(newest.desc())))


def _last(session: Session, owner: Owner, channel_id: int) -> Job | None:
    key = find_key(session, owner.user_id)
    mine = select(JobRow.id, JobRow.created_at).where(JobRow.guild_id == owner.guild_id, JobRow.member_key == key)
    last = mine.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(NUM_LOOKED_AT).subquery()
    here = exists().where(DeliveryRow.job_id == last.c.id, DeliveryRow.channel_id == channel_id)
    newest = select(last.c.id).where(here, _has_picture(last.c.id))
    job_id = session.scalar(newest.order_by(last.c.created_at.desc(), last.c.id.desc()).limit(1))
    return None if job_id is None else build_job(session.get_one(JobRow, job_id))


def _conditions(session: Session, owner: Owner, look: HistoryFilter) -> list[ColumnElement[bool]]:
    key = find_key(session, owner.user_id)
    if look.favourites:
        liked = select(FavouriteRow.job_id).where(FavouriteRow.member_key == key)
        # What is asked outside servers is private: not even a favourite leads into them.
        is_seen = or_(Unindexed(JobRow.member_key) == key, JobRow.guild_id.not_in(NO_SERVERS))
        whose = [JobRow.id.in_(liked), Unindexed(JobRow.guild_id) == owner.guild_id, is_seen]
    else:
        whose = [JobRow.guild_id == owner.guild_id, JobRow.member_key == key]
    return [*whose, _has_picture(JobRow.id), exists().where(DeliveryRow.job_id == JobRow.id)]


def _has_picture(job_id: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return exists().where(ImageRow.job_id == job_id, ImageRow.file_sha256.is_not(None))


def _is_favourite(session: Session, job_id: str, user_id: int) -> bool:
    key = find_key(session, user_id)
    this = select(FavouriteRow.job_id).where(FavouriteRow.job_id == job_id, FavouriteRow.member_key == key)
    return session.scalar(this) is not None


def _kin(session: Session, job: Job) -> Relatives:
    ids = [image.id for image in job.images]
    newest = select(JobRow).where(JobRow.parent.in_(ids)).order_by(JobRow.created_at.desc(), JobRow.id)
    children = [build_job(row) for row in session.scalars(newest.limit(MAX_CHILDREN))]
    return Relatives(parents=tuple(_ancestors(session, job)), children=tuple(children))


def _ancestors(session: Session, job: Job) -> list[tuple[Job, int]]:
    found: list[tuple[Job, int]] = []
    parent = job.request.parent
    while parent is not None and len(found) < MAX_GENERATIONS:
        try:
            job_id, index = split_image_id(parent)
        except ValueError:
            break
        row = session.get(JobRow, job_id)
        if row is None:
            break
        found.append((build_job(row), index))
        parent = row.parent
    return found
