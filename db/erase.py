"""Forgetting: a job somebody deletes, everything of a member who asks for it, or of a guild that removed the bot."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Table, delete, exists, or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.files import in_parts, let_go, unneeded
from db.jobs import settle_image, utc_now
from db.members import find_key
from db.models import (
    BalanceRow,
    Base,
    BlockRow,
    ChangeRow,
    CounterRow,
    DepartureRow,
    FavouriteRow,
    GuildStandingRow,
    ImageRow,
    JobRow,
    LedgerRow,
    MemberRow,
    QuotaRow,
    ReportRow,
    ReviewRow,
)
from generation.job import Outcome, Status
from generation.ports import Clock
from generation.quota import Scope

_CANCELLED = Outcome(status=Status.CANCELLED, charged=0)
_JOBS_AT_ONCE = 300
_STAY: tuple[type[Base], ...] = (LedgerRow, BalanceRow, BlockRow, GuildStandingRow, CounterRow)
"""What names a guild and stays when it goes; the counters are the queue's, which writes them anew every few seconds."""


async def delete_job(database: Database, job_id: str, *, clock: Clock = utc_now) -> frozenset[str]:
    """Forget a job, its pictures and where they were sent; what still waited or ran is refunded.

    Returns the SHA-256 of the files nothing needs any more: the caller removes them. An unknown job has none. What its
    member attached is among them, unless another living picture of theirs starts from that too.
    """
    return await database.write(lambda session: _delete_job(session, job_id, at=clock()))


async def erase_user(database: Database, user_id: int, *, clock: Clock = utc_now) -> frozenset[str]:
    """Forget everything that leads to this Discord user; returns the files to remove, as `delete_job` does.

    Their postings stay under a key that leads to no one, so that the books still add up. When this returns, the
    deleted text is overwritten in the database file and gone from its log; earlier backups keep it until they age out.
    """
    files = await database.write(lambda session: _erase_user(session, user_id, at=clock()))
    await database.truncate_log()
    return files


async def erase_guild(database: Database, guild_id: int, *, clock: Clock = utc_now) -> frozenset[str]:
    """Forget everything of a guild that is gone; returns the files to remove, as `delete_job` does.

    What stays: sums of use, so that the books add up; blocks, so that inviting the bot anew does not lift them; the
    operator's word about the guild. Members who are known from nowhere else are forgotten too. Nothing happens to a
    guild that is back. A few hundred jobs a transaction: others' writes go on in between.
    """
    files: set[str] = set()
    while (some := await database.write(lambda session: _delete_some_jobs(session, guild_id, at=clock()))) is not None:
        files |= some
    await database.write(lambda session: _delete_guild(session, guild_id))
    await database.truncate_log()
    return frozenset(files)


def _delete_some_jobs(session: Session, guild_id: int, *, at: datetime) -> frozenset[str] | None:
    """None when there are no more, or the guild is back."""
    if session.get(DepartureRow, guild_id) is None:
        return None
    job_ids = session.scalars(select(JobRow.id).where(JobRow.guild_id == guild_id).limit(_JOBS_AT_ONCE)).all()
    if not job_ids:
        return None
    made, started = _end_and_list_files(session, job_ids, at=at)
    session.execute(delete(JobRow).where(JobRow.id.in_(job_ids)))
    return unneeded(session, made | let_go(session, started))


def _delete_guild(session: Session, guild_id: int) -> None:
    if session.get(DepartureRow, guild_id) is None:
        return
    for table in tables_of_a_guild():
        session.execute(delete(table).where(table.c.guild_id == guild_id))
    _forget_strangers(session, guild_id)


def tables_of_a_guild() -> list[Table]:
    """Those whose rows go with their guild. A new table that names a guild is one, unless it is listed above."""
    stay = {row.__tablename__ for row in _STAY}
    named = (table for table in Base.metadata.tables.values() if "guild_id" in table.c)
    return [table for table in named if table.name not in stay]


def _forget_strangers(session: Session, guild_id: int) -> None:
    """Delete the keys of members who asked for pictures in this guild alone: its postings lead to no one then."""
    here = select(BalanceRow.member_key).where(BalanceRow.guild_id == guild_id)
    elsewhere = (
        exists().where(BalanceRow.member_key == MemberRow.key, BalanceRow.guild_id != guild_id),
        exists().where(JobRow.member_key == MemberRow.key),
        exists().where(FavouriteRow.member_key == MemberRow.key),
        exists().where(ReportRow.by == MemberRow.key),
        exists().where(ChangeRow.by == MemberRow.key),
        exists().where(QuotaRow.scope == Scope.USER, QuotaRow.subject == MemberRow.key),
    )
    strangers = session.scalars(select(MemberRow.key).where(MemberRow.key.in_(here), ~or_(*elsewhere))).all()
    for some in in_parts(strangers):
        session.execute(delete(MemberRow).where(MemberRow.key.in_(some)))


def _delete_job(session: Session, job_id: str, *, at: datetime) -> frozenset[str]:
    made, started = _end_and_list_files(session, [job_id], at=at)
    session.execute(delete(JobRow).where(JobRow.id == job_id))
    return unneeded(session, made | let_go(session, started))


def _erase_user(session: Session, user_id: int, *, at: datetime) -> frozenset[str]:
    key = find_key(session, user_id)
    if key is None:
        return frozenset()
    job_ids = session.scalars(select(JobRow.id).where(JobRow.member_key == key)).all()
    made, started = _end_and_list_files(session, job_ids, at=at)
    session.execute(delete(QuotaRow).where(QuotaRow.scope == Scope.USER, QuotaRow.subject == key))
    session.execute(delete(MemberRow).where(MemberRow.key == key))  # jobs, images and deliveries go with it
    return unneeded(session, made | let_go(session, started))


def _end_and_list_files(session: Session, job_ids: Iterable[str], *, at: datetime) -> tuple[set[str], set[str]]:
    """Settle what has not ended, at no charge. The files these jobs made, and those they started from."""
    made: set[str] = set()
    started: set[str] = set()
    for some in in_parts(job_ids):
        for image in session.scalars(select(ImageRow).where(ImageRow.job_id.in_(some))).all():
            if not image.status.is_end:
                settle_image(session, image.id, attempt=image.attempt, outcome=_CANCELLED, at=at)
            started |= image.spec.sources
            if image.file_sha256 is not None:
                made.add(image.file_sha256)
        of_these = select(ReviewRow.sha256).join(ImageRow, ImageRow.id == ReviewRow.image_id)
        made.update(session.scalars(of_these.where(ImageRow.job_id.in_(some))))
    return made, started
