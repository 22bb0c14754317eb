"""Erasure: a job that is deleted, everything of a member who asks for it, or of a guild that removed the bot.

A member or a guild may have a hundred thousand jobs: some go in one transaction, and others' writes in between. What
was begun is found by what is still there: a member whose id is below zero, a guild that is still among those gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Table, delete, exists, or_, select, text, update
from sqlalchemy.orm import Session

from db.batches import JOBS_AT_ONCE, Place, delete_some, find_some_jobs, forget_some, repeat_until_none
from db.engine import Database
from db.models import (
    ApiKeyRow,
    BalanceRow,
    Base,
    BlockRow,
    ChangeRow,
    CounterRow,
    DeliveryRow,
    FavouriteRow,
    GuildStandingRow,
    ImageRow,
    JobRow,
    LedgerRow,
    MemberPreferencesRow,
    MemberRow,
    QuotaRow,
    RemovedGuildRow,
    ReportRow,
    ReviewRow,
    UploadRow,
)
from db.models import table as table_of
from db.sql import Unindexed, select_distinct
from db.stores.image_files import (
    AT_ONCE,
    IS_ALIVE,
    find_sources,
    find_unneeded,
    is_of_jobs,
    release_uploads,
    remove_results,
)
from db.stores.jobs import settle_image
from db.stores.members import GUILD_ACCOUNT, find_key
from generation.clock import Clock, utc_now
from generation.jobs.job import Outcome, Status
from generation.policy.quota import Scope

_NAMES_A_MEMBER = [
    key.parent
    for table in Base.metadata.sorted_tables
    for key in table.foreign_keys
    if key.references(table_of(MemberRow))
]
"""Columns whose rows go with their member, or, where they may be empty, forget them."""
_CANCELLED = Outcome(status=Status.CANCELLED, charged=0)
_STAY: tuple[type[Base], ...] = (LedgerRow, BalanceRow, BlockRow, GuildStandingRow, CounterRow)
"""What names a guild and stays when it goes; the counters are the queue's, which writes them every few seconds."""


async def erase_user(database: Database, user_id: int, *, clock: Clock = utc_now) -> AsyncIterator[frozenset[str]]:
    """Forget everything that leads to this Discord user; yields the files to remove, as `delete_jobs` returns them.

    The first transaction parts the user from their key and ends what waits or runs: what they ask for from then on has
    a key of its own. Their postings stay under a key that leads to no one, so that the books still add up. At the end
    the deleted text is overwritten in a SQLite file and gone from its log (on a server: vacuumed,
    `db.backends`); earlier backups keep it until they age out. A caller who stops on the way leaves the rest to
    `finish_erasing`.
    """
    async for _ in repeat_until_none(database, lambda session: _end_some(session, user_id, at=clock())):
        pass
    key = await database.write(lambda session: _part(session, user_id, at=clock()))
    if key is not None:
        async for files in _erase_key(database, key, clock):
            yield files


async def finish_erasing(database: Database, *, clock: Clock = utc_now) -> AsyncIterator[frozenset[str]]:
    """Go on with what was begun before a crash; yields as `erase_user` does."""
    begun = select(MemberRow.key).where(MemberRow.user_id < 0)
    for key in await database.read(lambda session: session.scalars(begun).all()):
        async for files in _erase_key(database, key, clock):
            yield files


async def _erase_key(database: Database, key: int, clock: Clock) -> AsyncIterator[frozenset[str]]:
    async for files in repeat_until_none(database, lambda session: _erase_some(session, key, at=clock())):
        yield files
    await database.clear_deleted()


async def erase_guild(database: Database, guild_id: int, *, clock: Clock = utc_now) -> AsyncIterator[frozenset[str]]:
    """Delete all data of a guild that removed the bot; yield the files to remove, as `delete_jobs` returns them.

    What stays: sums of use, so that the ledger adds up; blocks, so that a new invitation does not lift them; whether
    the operator allows the guild. Members without data elsewhere are deleted too. A guild that invited the bot again is
    left alone. The row of the removed guild is deleted last: until then an interrupted erasure begins again.
    """
    after: Place | None = None
    while places := await database.read_apart(partial(_jobs_of_guild, guild_id=guild_id, after=after)):
        job_ids = [job_id for _, job_id in places]
        gone = await database.write(partial(_delete_jobs_of_guild, guild_id=guild_id, job_ids=job_ids, at=clock()))
        if gone is None:
            return
        yield gone
        after = places[-1]
    async for _ in repeat_until_none(database, lambda session: _delete_rows_of_guild(session, guild_id)):
        pass
    await _forget_strangers(database, guild_id)
    await database.write(
        lambda session: session.execute(delete(RemovedGuildRow).where(RemovedGuildRow.guild_id == guild_id))
    )
    await database.clear_deleted()


def _jobs_of_guild(session: Session, *, guild_id: int, after: Place | None) -> Sequence[Place]:
    """Return some jobs, by the index of their guild. Read beside the writer, and from the last place on: a server
    would go through those it has just deleted."""
    return find_some_jobs(session, JobRow.guild_id == guild_id, after=after)


def _delete_jobs_of_guild(
    session: Session, *, guild_id: int, job_ids: Sequence[str], at: datetime
) -> frozenset[str] | None:
    """None if the guild is back."""
    return delete_jobs(session, job_ids, at=at) if _is_gone(session, guild_id) else None


def _delete_rows_of_guild(session: Session, guild_id: int) -> bool | None:
    """Delete some rows. None when there are no more, or the guild is back."""
    tables = [each for each in list_guild_tables() if each.name != RemovedGuildRow.__tablename__]
    if not _is_gone(session, guild_id):
        return None
    return any(delete_some(session, each, each.c.guild_id == guild_id) for each in tables) or None


def _is_gone(session: Session, guild_id: int) -> bool:
    return session.get(RemovedGuildRow, guild_id) is not None


def list_guild_tables() -> list[Table]:
    """Those whose rows go with their guild. A new table that names a guild is one, unless it is listed above."""
    stay = {row.__tablename__ for row in _STAY}
    named = (table for table in Base.metadata.tables.values() if "guild_id" in table.c)
    return [table for table in named if table.name not in stay]


async def _forget_strangers(database: Database, guild_id: int) -> None:
    """Delete the keys of members who asked for pictures in this guild alone: its postings lead to no one then.

    A member may have a hundred thousand balances, so those are looked at beside the writer. Who asks for something
    elsewhere meanwhile has a job there.
    """
    after = GUILD_ACCOUNT
    while keys := await database.read_apart(partial(_keys_in_guild, guild_id=guild_id, after=after)):
        alone = await database.read_apart(partial(_keys_in_no_other, guild_id=guild_id, keys=keys))
        await database.write(partial(_forget_some_strangers, guild_id=guild_id, keys=alone))
        after = keys[-1]


def _keys_in_guild(session: Session, *, guild_id: int, after: int) -> Sequence[int]:
    """Return the next members of the guild, each looked up by itself: the balances of one may be very many."""
    found = select_distinct(table_of(BalanceRow).c.member_key, BalanceRow.guild_id == guild_id, after=after)
    return session.scalars(found.limit(AT_ONCE)).all()


def _keys_in_no_other(session: Session, *, guild_id: int, keys: Sequence[int]) -> Sequence[int]:
    elsewhere = exists().where(BalanceRow.member_key == MemberRow.key, BalanceRow.guild_id != guild_id)
    return session.scalars(select(MemberRow.key).where(MemberRow.key.in_(keys), ~elsewhere)).all()


def _forget_some_strangers(session: Session, *, guild_id: int, keys: Sequence[int]) -> None:
    if not _is_gone(session, guild_id):
        return
    elsewhere = (
        exists().where(JobRow.member_key == MemberRow.key),
        exists().where(FavouriteRow.member_key == MemberRow.key),
        exists().where(MemberPreferencesRow.member_key == MemberRow.key),
        exists().where(ApiKeyRow.member_key == MemberRow.key),
        exists().where(ReportRow.by == MemberRow.key),
        exists().where(ChangeRow.by == MemberRow.key),
        exists().where(QuotaRow.scope == Scope.USER, QuotaRow.subject == MemberRow.key),
    )
    session.execute(
        delete(MemberRow).where(MemberRow.key.in_(keys), ~or_(*elsewhere)).execution_options(synchronize_session=False)
    )


def delete_jobs(session: Session, job_ids: Sequence[str], *, at: datetime) -> frozenset[str]:
    """Delete some jobs at most; images and deliveries go with them. The files nothing needs any more."""
    _end_images(session, JobRow.id.in_(job_ids), at=at)
    reviewed = select(ReviewRow.sha256).join(ImageRow, ImageRow.id == ReviewRow.image_id)
    made = set(session.scalars(reviewed.where(ImageRow.job_id.in_(job_ids))))
    made |= remove_results(session, is_of_jobs(job_ids))
    started = find_sources(session, job_ids)
    session.execute(delete(JobRow).where(JobRow.id.in_(job_ids)).execution_options(synchronize_session=False))
    return find_unneeded(session, made | release_uploads(session, started))


def _end_some(session: Session, user_id: int, *, at: datetime) -> int | None:
    """End some of what waits or runs for a user. Return how much, or None when nothing does."""
    mine = Unindexed(JobRow.member_key) == find_key(session, user_id)  # what is alive is little, their jobs may not be
    return _end_images(session, mine, at=at, limit=JOBS_AT_ONCE) or None


def _end_images(session: Session, of_jobs: ColumnElement[bool], *, at: datetime, limit: int | None = None) -> int:
    """Cancel images that wait or run, at no charge. Return how many."""
    alive = select(ImageRow.id, ImageRow.attempt).join(JobRow, JobRow.id == ImageRow.job_id).where(of_jobs, IS_ALIVE)
    some = session.execute(alive.limit(limit)).all()
    for image_id, attempt in some:
        settle_image(session, image_id, attempt=attempt, outcome=_CANCELLED, at=at)
    return len(some)


def _part(session: Session, user_id: int, *, at: datetime) -> int | None:
    """Part a user from their key, and end what would still be painted or posted for them. The key, if there is one."""
    key = find_key(session, user_id)
    if key is None:
        return None
    while _end_some(session, user_id, at=at):  # what was asked for since the last part
        pass
    theirs = exists().where(JobRow.id == DeliveryRow.job_id, JobRow.member_key == key)
    for statement in (
        delete(DeliveryRow).where(text("deliveries.state = 'due'"), theirs),
        delete(QuotaRow).where(QuotaRow.scope == Scope.USER, QuotaRow.subject == key),
        delete(ApiKeyRow).where(ApiKeyRow.member_key == key),
        update(MemberRow).where(MemberRow.key == key).values(user_id=-key),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
    return key


def _erase_some(session: Session, key: int, *, at: datetime) -> frozenset[str] | None:
    """Delete some of what is left of a key, and at the end the key. None when nothing is left."""
    if job_ids := session.scalars(select(JobRow.id).where(JobRow.member_key == key).limit(JOBS_AT_ONCE)).all():
        return delete_jobs(session, job_ids, at=at)
    attached = select(UploadRow.sha256).where(UploadRow.member_key == key).limit(AT_ONCE)
    if uploads := session.scalars(attached).all():  # of jobs whose words could not be read
        return find_unneeded(session, release_uploads(session, uploads))
    for column in _NAMES_A_MEMBER:
        if forget_some(session, column, key) if column.nullable else delete_some(session, column.table, column == key):
            return frozenset()
    last = delete(MemberRow).where(MemberRow.key == key).returning(MemberRow.key)
    return None if session.scalar(last) is None else frozenset()
