"""The pages of a member's history, and a job's family along `jobs.parent`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import DeliveryRow, FavouriteRow, ImageRow, JobRow, ShareRow
from db.stores.job_rows import build_job
from db.stores.members import find_key
from generation.jobs.history import HistoryFilter, Relatives
from generation.jobs.job import Job, split_image_id
from generation.owner import NO_SERVERS, Owner
from generation.requests.drawing import list_prompts

MAX_GENERATIONS = 8
MAX_CHILDREN = 10
_AT_A_TIME = 200


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
        """Return the owner's newest job with pictures whose message is in that channel; None if there is none."""
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
    """Search for words here and not in the database: each database folds the case of letters differently."""
    wanted = select(JobRow.id, JobRow.request).where(*conditions)
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


def _guilds(session: Session, user_id: int) -> list[int]:
    newest = func.max(JobRow.created_at)
    mine = select(JobRow.guild_id).where(JobRow.member_key == find_key(session, user_id))
    return list(session.scalars(mine.group_by(JobRow.guild_id).order_by(newest.desc())))


def _last(session: Session, owner: Owner, channel_id: int) -> Job | None:
    here = select(DeliveryRow.job_id).where(DeliveryRow.channel_id == channel_id)
    mine = select(JobRow).where(*_conditions(session, owner, HistoryFilter()), JobRow.id.in_(here))
    row = session.scalars(mine.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(1)).first()
    return None if row is None else build_job(row)


def _conditions(session: Session, owner: Owner, look: HistoryFilter) -> list[ColumnElement[bool]]:
    key = find_key(session, owner.user_id)
    mine = JobRow.member_key == key
    liked = exists().where(FavouriteRow.job_id == JobRow.id, FavouriteRow.member_key == key)
    # What is asked outside servers is private: not even a favourite leads into them.
    whose = [liked, or_(mine, JobRow.guild_id.not_in(NO_SERVERS))] if look.favourites else [mine]
    return [
        JobRow.guild_id == owner.guild_id,
        exists().where(ImageRow.job_id == JobRow.id, ImageRow.file_sha256.is_not(None)),
        exists().where(DeliveryRow.job_id == JobRow.id),
        *whose,
    ]


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
