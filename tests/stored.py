"""Reads and changes of a database that tests need and the program does not."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.admin.erasure import delete_jobs
from db.engine import Database
from db.models import JobRow
from db.stores.jobs import JobStore
from db.stores.ledger import sum_usage
from db.stores.members import find_key
from generation.clock import utc_now
from generation.jobs.job import Image, Job, split_image_id
from generation.owner import Owner
from generation.policy.quota import Usage


async def fetch_jobs(jobs: JobStore, owner: Owner) -> list[Job]:
    """Return the owner's jobs in that guild, newest first."""

    def read(session: Session) -> list[str]:
        mine = select(JobRow.id).where(
            JobRow.member_key == find_key(session, owner.user_id), JobRow.guild_id == owner.guild_id
        )
        return list(session.scalars(mine.order_by(JobRow.created_at.desc(), JobRow.id.desc())))

    return [await jobs.fetch_job(job_id) for job_id in await jobs._database.read(read)]


async def fetch_image(jobs: JobStore, image_id: str) -> Image:
    job_id, index = split_image_id(image_id)
    return (await jobs.fetch_job(job_id)).images[index]


async def fetch_usage(database: Database, owner: Owner, *, since: datetime) -> Usage:
    """Return what the member asked for in the guild since then."""

    def read(session: Session) -> Usage:
        key = find_key(session, owner.user_id)
        return Usage() if key is None else sum_usage(session, owner.guild_id, member_key=key, since=since)

    return await database.read(read)


async def delete_job(database: Database, job_id: str) -> frozenset[str]:
    """Delete a job, and return the files that nothing needs any more."""
    return await database.write(lambda session: delete_jobs(session, [job_id], at=utc_now()))
