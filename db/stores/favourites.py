"""What members note about a job: that it is a favourite, and that they want to be notified when it is done."""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import FavouriteRow, MemberRow, NotificationRow
from db.stores.members import ensure_key
from generation.clock import Clock, utc_now


class FavouriteStore:
    """Favourites and notifications. Every change is durable when its call returns."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def toggle_favourite(self, job_id: str, user_id: int) -> bool:
        """Make a job a favourite of this member, or no longer one. Return whether it is one now."""
        return await self._database.write(lambda session: self._turn(session, job_id, user_id))

    async def request_notification(self, job_id: str, user_id: int) -> bool:
        """Remember that this member wants to be notified. Return False if that was known."""
        return await self._database.write(lambda session: _request_notification(session, job_id, user_id))

    async def fetch_notified(self, job_id: str) -> list[int]:
        """Return the ids of the users who are to be notified of this job."""
        waiting = select(MemberRow.user_id).join(NotificationRow).where(NotificationRow.job_id == job_id)
        return await self._database.read(lambda session: list(session.scalars(waiting.order_by(MemberRow.user_id))))

    async def clear_notifications(self, job_id: str) -> None:
        """Forget who wanted to be notified: they were."""
        told = delete(NotificationRow).where(NotificationRow.job_id == job_id)
        await self._database.write(lambda session: session.execute(told))

    def _turn(self, session: Session, job_id: str, user_id: int) -> bool:
        key = ensure_key(session, user_id)
        this = (FavouriteRow.member_key == key, FavouriteRow.job_id == job_id)
        gone = session.execute(delete(FavouriteRow).where(*this).returning(FavouriteRow.job_id)).first()
        if gone is None:
            session.execute(insert(FavouriteRow).values(member_key=key, job_id=job_id, at=self._clock()))
        return gone is None


def _request_notification(session: Session, job_id: str, user_id: int) -> bool:
    key = ensure_key(session, user_id)
    known = select(NotificationRow.job_id).where(NotificationRow.job_id == job_id, NotificationRow.member_key == key)
    if session.scalar(known) is not None:
        return False
    session.execute(insert(NotificationRow).values(job_id=job_id, member_key=key))
    return True
