"""What guilds have chosen for themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import GuildSettingsRow, RoleBoostRow, table
from generation.policy.guild_settings import GuildSettings, RoleBoost, check_claim, check_zone

log = logging.getLogger(__name__)

SettingsChange = Callable[[GuildSettings], GuildSettings]
"""What one choice makes of the settings before it. Pure: it runs inside the transaction, in the writer's thread."""

_rows = table(GuildSettingsRow)
_COLUMNS = tuple(column.name for column in _rows.c)


class SettingsStore:
    """Settings of guilds; one that never chose has the defaults of `GuildSettings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(self, guild_id: int) -> GuildSettings:
        row = await self._database.read(lambda session: session.get(GuildSettingsRow, guild_id))
        return GuildSettings(guild_id=guild_id) if row is None else _settings(row)

    async def fetch_all(self) -> list[GuildSettings]:
        """Return the settings of every guild that has chosen something."""
        return await self._database.read(list_settings)

    async def change(self, guild_id: int, change: SettingsChange) -> GuildSettings:
        """Apply `change` to the settings as they are in the transaction that writes them. Return what is stored now."""
        return (await self._database.write(lambda session: change_settings(session, guild_id, change)))[1]

    async def fetch_boosts(self) -> list[RoleBoost]:
        """Return the boost of every role that has one."""
        rows = await self._database.read(lambda session: session.scalars(select(RoleBoostRow)).all())
        return [RoleBoost(guild_id=row.guild_id, role_id=row.role_id, boost=check_claim(row.boost)) for row in rows]

    async def save_boost(self, boost: RoleBoost) -> None:
        """Save a role's boost in place of the one it may have; a boost of 1 is none."""

        def replace(session: Session) -> None:
            this_role = (RoleBoostRow.guild_id == boost.guild_id, RoleBoostRow.role_id == boost.role_id)
            session.execute(delete(RoleBoostRow).where(*this_role))
            if boost.boost != 1:
                values = {"guild_id": boost.guild_id, "role_id": boost.role_id, "boost": boost.boost}
                session.execute(insert(RoleBoostRow).values(values))

        await self._database.write(replace)


def change_settings(session: Session, guild_id: int, change: SettingsChange) -> tuple[GuildSettings, GuildSettings]:
    """Apply `change` to a guild's settings. Return them before and after; raise what `change` raises."""
    row = session.get(GuildSettingsRow, guild_id)
    before = GuildSettings(guild_id=guild_id) if row is None else _settings(row)
    after = change(before)
    if after != before:
        session.execute(delete(GuildSettingsRow).where(GuildSettingsRow.guild_id == guild_id))
        session.execute(insert(_rows).values({name: getattr(after, name) for name in _COLUMNS}))
    return before, after


def list_settings(session: Session) -> list[GuildSettings]:
    """Return the settings of every guild that has chosen something."""
    return [_settings(row) for row in session.scalars(select(GuildSettingsRow))]


def _settings(row: GuildSettingsRow) -> GuildSettings:
    weight, timezone = check_claim(row.weight), check_zone(row.timezone)
    if (weight, timezone) != (row.weight, row.timezone):
        log.warning("guild=%s action=setting-unusable weight=%g timezone=%s", row.guild_id, weight, timezone)
    return GuildSettings(
        guild_id=row.guild_id, weight=weight, safety=row.safety, timezone=timezone, choices=row.choices
    )
