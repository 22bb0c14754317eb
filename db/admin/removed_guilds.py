"""Guilds that removed the bot: what is kept of them is deleted after a grace, unless they invite it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.admin.erasure import erase_guild, list_guild_tables
from db.engine import Database
from db.models import ApiKeyRow, RemovedGuildRow
from db.running_time import CONFIRMED_BY, EARLIEST
from db.sql import select_distinct
from db.stores.api_keys import end_keys
from generation.clock import Clock
from generation.owner import NO_SERVERS


class RemovedGuildStore:
    """Since when each has been gone. `grace`: how long what they left behind is kept."""

    def __init__(self, database: Database, *, clock: Clock, grace: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._grace = grace

    async def mark_removed(self, guild_id: int) -> None:
        """Note that a guild removed the bot, now; one that was gone already stays gone since then."""
        await self._database.write(lambda session: self._mark(session, {guild_id}))

    async def mark_returned(self, guild_ids: Collection[int]) -> None:
        """Note that the bot is in these guilds: where it was removed, everything is as it was."""
        here = set(guild_ids)

        def write(session: Session) -> None:
            for guild_id in here & set(session.scalars(select(RemovedGuildRow.guild_id))):
                session.execute(delete(RemovedGuildRow).where(RemovedGuildRow.guild_id == guild_id))

        await self._database.write(write)

    async def fetch_present(self) -> set[int]:
        """Return the guilds of which something is kept, but those that are known to be gone."""
        gone = select(RemovedGuildRow.guild_id).where(RemovedGuildRow.since >= EARLIEST)
        return await self._database.read(lambda session: _known(session) - set(session.scalars(gone)))

    async def fetch_overdue(self) -> list[int]:
        """Guilds whose grace was over a day of running ago, and still is: see `db.running_time`."""
        day_ago = await self._database.confirmed_now(self._clock) - CONFIRMED_BY
        over = select(RemovedGuildRow.guild_id).where(
            RemovedGuildRow.since <= day_ago - self._grace, RemovedGuildRow.since >= EARLIEST
        )
        return list(await self._database.read(lambda session: session.scalars(over).all()))

    async def is_gone(self, guild_id: int) -> bool:
        """Return whether the guild is gone and not back."""
        return await self._database.read(lambda session: session.get(RemovedGuildRow, guild_id) is not None)

    def erase(self, guild_id: int) -> AsyncIterator[frozenset[str]]:
        """Delete what is kept of a guild that is gone (see `db.admin.erasure`); yields the SHA-256 of files to
        remove."""
        return erase_guild(self._database, guild_id, clock=self._clock)

    def _mark(self, session: Session, guild_ids: set[int]) -> None:
        session.execute(delete(RemovedGuildRow).where(RemovedGuildRow.since < EARLIEST))  # the clock was not set
        new = guild_ids - set(session.scalars(select(RemovedGuildRow.guild_id)))
        if new:
            session.execute(insert(RemovedGuildRow), [{"guild_id": each, "since": self._clock()} for each in new])
            end_keys(session, ApiKeyRow.guild_id.in_(new), at=self._clock())


def _known(session: Session) -> set[int]:
    """Every guild of which something is kept that would go with it."""
    found: set[int] = set()
    for table in list_guild_tables():
        if table.name != RemovedGuildRow.__tablename__:
            found.update(session.scalars(select_distinct(table.c.guild_id)))
    return found - NO_SERVERS
