"""What the operator has decided over all guilds: closed, paused, whom the bot serves. Survives a restart."""

from __future__ import annotations

from async_lru import alru_cache
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import GuildStandingRow, OperatorChoiceRow
from generation.policy.guild_access import AccessDecision, GuildAccess

_CLOSED = "closed"
_PAUSED = "paused"
_LISTED_ONLY = "listed-only"


class OperatorStore:
    """See the module's text. Admission is asked at every request, so it is kept in memory; only this changes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._admission = alru_cache(maxsize=1)(self._read_admission)

    async def is_closed(self) -> bool:
        """Return whether new requests are refused, as the operator last said."""
        return await self._database.read(lambda session: _is_set(session, _CLOSED))

    async def set_closed(self, is_closed: bool) -> None:
        await self._database.write(lambda session: _set(session, _CLOSED, is_closed))

    async def is_paused(self) -> bool:
        """Return whether nothing new is begun, as the operator last said."""
        return await self._database.read(lambda session: _is_set(session, _PAUSED))

    async def set_paused(self, is_paused: bool) -> None:
        await self._database.write(lambda session: _set(session, _PAUSED, is_paused))

    async def admission(self) -> GuildAccess:
        """Return which guilds are served, as of the last change."""
        return await self._admission()

    async def _read_admission(self) -> GuildAccess:
        return await self._database.read(_admission)

    async def set_listed_only(self, is_listed_only: bool) -> None:
        """Serve only guilds that were allowed by name, or all that were not denied."""
        await self._database.write(
            lambda session: _set(session, _LISTED_ONLY, is_listed_only), then=self._admission.cache_clear
        )

    async def set_standing(self, guild_id: int, standing: AccessDecision) -> None:
        """Allow or deny a guild, in place of what was said of it before."""

        def write(session: Session) -> None:
            session.execute(delete(GuildStandingRow).where(GuildStandingRow.guild_id == guild_id))
            session.execute(insert(GuildStandingRow).values(guild_id=guild_id, standing=standing))

        await self._database.write(write, then=self._admission.cache_clear)


def _admission(session: Session) -> GuildAccess:
    standings = {row.guild_id: row.standing for row in session.scalars(select(GuildStandingRow))}
    return GuildAccess(is_listed_only=_is_set(session, _LISTED_ONLY), standings=standings)


def _is_set(session: Session, name: str) -> bool:
    return session.get(OperatorChoiceRow, name) is not None


def _set(session: Session, name: str, is_set: bool) -> None:
    session.execute(delete(OperatorChoiceRow).where(OperatorChoiceRow.name == name))
    if is_set:
        session.execute(insert(OperatorChoiceRow).values(name=name))
