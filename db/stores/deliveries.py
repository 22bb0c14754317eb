"""How far each job's answer has come. A delivery that is due stays due until the cogs say people have it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Update, select, text, update
from sqlalchemy.orm import Session

from db.column_types import NUL
from db.counting import Count, count_when_committed
from db.engine import Database
from db.models import DeliveryRow, JobRow
from generation import metrics
from generation.errors import UnknownJobError
from generation.jobs.delivery import Delivery, DeliveryState, DeliveryWay
from generation.jobs.job import ReplyTo

_ERROR_CHARS = 200
_OPEN = (DeliveryState.LIVE, DeliveryState.DUE)


class DeliveryStore:
    """Reads and moves deliveries. Every change is durable when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(self, job_id: str) -> Delivery:
        """Return a job's delivery. Raise `UnknownJobError`, also for a job from the shell, which has none."""
        return await self._database.read(lambda session: _fetch(session, job_id))

    async def fetch_some(self, job_ids: Collection[str]) -> dict[str, Delivery]:
        """Return the deliveries of these jobs, by job id; those that have none are missing."""
        some = select(DeliveryRow).where(DeliveryRow.job_id.in_(job_ids))
        rows = await self._database.read(lambda session: session.scalars(some).all())
        return {row.job_id: _delivery(row) for row in rows}

    async def fetch_due(self) -> list[Delivery]:
        """Return every result that is still due, oldest job first."""
        return await self._database.read(_fetch_due)

    async def set_message(self, job_id: str, *, channel_id: int, message_id: int) -> bool:
        """Remember the message that shows this job. Return False if the job is gone."""
        return await self._update(_row(job_id).values(channel_id=channel_id, message_id=message_id))

    async def mark_tried(self, job_id: str, error: str) -> bool:
        """Note that posting failed and will be tried again. Return False if the delivery has ended."""
        tried = _row(job_id).where(DeliveryRow.state.in_(_OPEN))
        return await self._update(tried.values(attempts=DeliveryRow.attempts + 1, last_error=_shortened(error)))

    async def mark_posted(self, job_id: str, way: DeliveryWay = DeliveryWay.NEW) -> bool:
        """End the delivery, and forget its token, a secret that is no longer needed. Return False if it had ended."""
        return await self._end(job_id, DeliveryState.POSTED, None, way=way)

    async def mark_kept(self, job_id: str, reason: str) -> bool:
        """Give up posting: `/history` has the result. Return False if the delivery had ended."""
        return await self._end(job_id, DeliveryState.KEPT, reason, way=DeliveryWay.HISTORY)

    async def reopen(self, job_id: str) -> bool:
        """Make a kept result due again. Return False if it is not kept, or gone."""
        kept = _row(job_id).where(DeliveryRow.state == DeliveryState.KEPT)
        return await self._update(kept.values(state=DeliveryState.DUE))

    async def _end(self, job_id: str, state: DeliveryState, error: str | None, *, way: DeliveryWay) -> bool:
        ended = _row(job_id).where(DeliveryRow.state.in_(_OPEN))
        return await self._update(
            ended.values(state=state, token=None, token_expires_at=None, last_error=error and _shortened(error)),
            count=metrics.DELIVERIES.labels(way).inc,
        )

    async def _update(self, statement: Update, *, count: Count | None = None) -> bool:
        return await self._database.write(lambda session: _change(session, statement, count))


def _change(session: Session, statement: Update, count: Count | None) -> bool:
    """Return whether there was a row to change; `count` counts it."""
    changing = statement.returning(DeliveryRow.job_id).execution_options(synchronize_session=False)
    if session.execute(changing).first() is None:
        return False
    if count is not None:
        count_when_committed(session, count)
    return True


def _row(job_id: str) -> Update:
    return update(DeliveryRow).where(DeliveryRow.job_id == job_id)


def _fetch(session: Session, job_id: str) -> Delivery:
    row = session.get(DeliveryRow, job_id)
    if row is None:
        raise UnknownJobError
    return _delivery(row)


def _fetch_due(session: Session) -> list[Delivery]:
    due = select(DeliveryRow).join(JobRow).where(text("deliveries.state = 'due'"))
    return [_delivery(row) for row in session.scalars(due.order_by(JobRow.created_at, JobRow.id))]


def _delivery(row: DeliveryRow) -> Delivery:
    reply_to = ReplyTo(
        application_id=row.application_id,
        channel_id=row.channel_id,
        token=row.token,
        token_expires_at=row.token_expires_at,
        message_id=row.message_id,
        locale=row.locale,
        is_private=row.is_private,
    )
    return Delivery(
        job_id=row.job_id, reply_to=reply_to, state=row.state, attempts=row.attempts, last_error=row.last_error
    )


def _shortened(error: str) -> str:
    """Return as much of an error as is kept; no database but SQLite stores a NUL."""
    return error.replace(NUL, "")[:_ERROR_CHARS]
