"""The audit log of each guild: an entry is written in the transaction of the change it names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import ChangeRow, MemberRow
from db.stores.members import ensure_key
from generation.policy.audit import Change, read_change, write_change


@dataclass(frozen=True, slots=True)
class Entry:
    """Who changes something, and what to say of it. `text` may be a `Phrase`, read in any language later.

    `at`: when, as Discord dates what people do; where it is not known, the store's clock says.
    """

    by: int
    text: str
    at: datetime | None = None


def record(session: Session, guild_id: int, entry: Entry, *, at: datetime) -> None:
    """Append `entry` to the guild's audit log."""
    key = ensure_key(session, entry.by)
    values = {"guild_id": guild_id, "by": key, "at": entry.at or at, "text": write_change(entry.text)}
    session.execute(insert(ChangeRow).values(values))


class AuditLogStore:
    """Reads the audit log; `record` writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch_changes(self, guild_id: int, *, limit: int = 20) -> list[Change]:
        """Return the guild's last changes, newest first."""
        return await self._database.read(lambda session: _fetch_changes(session, guild_id, limit=limit))


def _fetch_changes(session: Session, guild_id: int, *, limit: int) -> list[Change]:
    rows = session.execute(
        select(ChangeRow, MemberRow.user_id)
        .outerjoin(MemberRow, MemberRow.key == ChangeRow.by)
        .where(ChangeRow.guild_id == guild_id)
        .order_by(ChangeRow.at.desc(), ChangeRow.id.desc())
        .limit(limit)
    )
    return [
        Change(guild_id=row.guild_id, user_id=user_id, at=row.at, text=read_change(row.text)) for row, user_id in rows
    ]
