"""What members have chosen for themselves (`/me`).

Every interaction asks for it before its first answer: that decides the language, and who sees the answer. So the
choices of all who made any are in memory, and a member who made none costs nothing (docs/decisions/0053).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import MemberPreferencesRow, MemberRow
from db.stores.members import ensure_key, find_key
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences

PreferencesChange = Callable[[MemberPreferences], MemberPreferences]
"""What one choice makes of the preferences before it. Pure: it runs in the writer's thread."""


class MemberPreferencesStore:
    """Preferences of members. `load` them before the first interaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.chosen: dict[int, MemberPreferences] = {}
        """What each member who chose anything has chosen, by their Discord id. To be read, not changed."""

    def get(self, user_id: int) -> MemberPreferences:
        return self.chosen.get(user_id, NO_PREFERENCES)

    async def load(self) -> None:
        """Read the choices of all members."""
        self.chosen = await self._database.read(_read_all)

    async def change(self, user_id: int, change: PreferencesChange) -> MemberPreferences:
        """Apply `change` in one transaction. Return what is stored now; raise what `change` raises."""

        def work(session: Session) -> MemberPreferences:
            key = ensure_key(session, user_id)
            row = session.get(MemberPreferencesRow, key)
            after = change(NO_PREFERENCES if row is None else row.choices)
            session.execute(delete(MemberPreferencesRow).where(MemberPreferencesRow.member_key == key))
            session.execute(insert(MemberPreferencesRow).values(member_key=key, choices=after))
            return after

        await self._database.write(work)
        return await self.refresh(user_id)

    async def refresh(self, user_id: int) -> MemberPreferences:
        """Read one member's choices again: they changed, or were erased."""

        def work(session: Session) -> MemberPreferences:
            row = session.get(MemberPreferencesRow, find_key(session, user_id) or 0)
            return NO_PREFERENCES if row is None else row.choices

        stored = await self._database.read(work)
        if stored.is_empty:
            self.chosen.pop(user_id, None)
        else:
            self.chosen[user_id] = stored
        return stored


def _read_all(session: Session) -> dict[int, MemberPreferences]:
    stored = select(MemberRow.user_id, MemberPreferencesRow.choices).join(MemberPreferencesRow)
    return {user_id: choices for user_id, choices in session.execute(stored) if user_id > 0}
