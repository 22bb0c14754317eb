"""Money that is reserved before a cloud worker asks for a picture, and settled after: the books of one month each."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import case, func, insert, literal_column, select
from sqlalchemy.orm import Session, aliased

from db.engine import Database
from db.models import CloudPostingRow
from generation.clock import Clock, utc_now
from generation.cloud.money import Begun, Reservation, Spending

ABANDONED_AFTER = timedelta(hours=2)
"""A prediction that no bot settled by then is counted as spent: the server has forgotten it too."""
_Row = CloudPostingRow
_is_reserve, _is_asked, _is_settle = (
    _Row.kind == literal_column(f"'{kind}'") for kind in ("reserve", "asked", "settle")
)
"""With a bound word SQLite would not use the partial indexes."""


class CloudStore:
    """`generation.cloud.money.CloudBooks`, in the database. Months are those of UTC."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database, self._clock = database, clock

    async def begin(self, image_id: str, *, price: int, budget: int) -> Reservation:
        now = self._clock()
        return await self._database.write(lambda session: _begin(session, image_id, price, budget, now))

    async def note_asked(self, prediction_id: str, remote_id: str) -> None:
        now = self._clock()

        def write(session: Session) -> None:
            begun = _fetch_reserve(session, prediction_id)
            _post(session, begun, kind="asked", at=now, remote_id=remote_id)

        await self._database.write(write)

    async def settle(self, prediction_id: str, *, spent: int) -> int:
        now = self._clock()

        def write(session: Session) -> int:
            if not _is_settled(session, prediction_id):
                begun = _fetch_reserve(session, prediction_id)
                _post(session, begun, kind="settle", at=now, reserved=-begun.reserved, spent=spent)
            return _sum_month(session, now)

        return await self._database.write(write)

    async def fetch_committed(self) -> int:
        now = self._clock()
        return await self._database.read(lambda session: _sum_month(session, now))

    async def fetch_spending(self, *, since: datetime) -> Spending:
        """Return what pictures cost since then, for the operator."""

        def read(session: Session) -> Spending:
            paid = func.sum(case((_Row.spent > 0, 1), else_=0))
            found = session.execute(
                select(paid, func.sum(_Row.spent), func.sum(_Row.reserved)).where(_Row.at >= since)
            ).one()
            return Spending(*(max(0, int(each or 0)) for each in found))

        return await self._database.read(read)


def _begin(session: Session, image_id: str, price: int, budget: int, now: datetime) -> Reservation:
    _settle_abandoned(session, now)
    earlier = session.scalar(select(_Row).where(_Row.image_id == image_id, _is_reserve))
    committed = _sum_month(session, now)
    if earlier is not None:
        name = earlier.prediction_id
        begun = Begun.SPENT if _is_settled(session, name) else Begun.AGAIN
        remote = session.scalar(select(_Row.remote_id).where(_Row.prediction_id == name, _is_asked))
        return Reservation(begun, name, remote, committed)
    if committed + price > budget:
        return Reservation(Begun.TOO_MUCH, committed=committed)
    row = _Row(prediction_id=secrets.token_hex(16), image_id=image_id, month=_month_of(now))
    _post(session, row, kind="reserve", at=now, reserved=price)
    return Reservation(Begun.NEW, row.prediction_id, None, committed + price)


def _settle_abandoned(session: Session, now: datetime) -> None:
    """Count as spent what was left open by a bot that did not come back for it."""
    end = aliased(_Row)
    is_ended = (
        select(end.id).where(end.prediction_id == _Row.prediction_id, end.kind == literal_column("'settle'")).exists()
    )
    months = {_month_of(now), _month_of(now.replace(day=1) - timedelta(days=1))}
    is_open = (_is_reserve, _Row.month.in_(sorted(months)), _Row.at < now - ABANDONED_AFTER, ~is_ended)
    for each in session.scalars(select(_Row).where(*is_open)).all():
        _post(session, each, kind="settle", at=now, reserved=-each.reserved, spent=each.reserved)


def _fetch_reserve(session: Session, prediction_id: str) -> CloudPostingRow:
    return session.scalars(select(_Row).where(_Row.prediction_id == prediction_id, _is_reserve)).one()


def _is_settled(session: Session, prediction_id: str) -> bool:
    found = select(_Row.id).where(_Row.prediction_id == prediction_id, _is_settle)
    return session.scalar(found) is not None


def _post(
    session: Session,
    begun: CloudPostingRow,
    *,
    kind: str,
    at: datetime,
    reserved: int = 0,
    spent: int = 0,
    remote_id: str | None = None,
) -> None:
    """Append a posting to the month of the reservation."""
    same = {"prediction_id": begun.prediction_id, "image_id": begun.image_id, "month": begun.month}
    session.execute(insert(_Row).values(**same, kind=kind, reserved=reserved, spent=spent, remote_id=remote_id, at=at))


def _sum_month(session: Session, now: datetime) -> int:
    total = func.sum(_Row.reserved + _Row.spent)
    return int(session.scalar(select(total).where(_Row.month == _month_of(now))) or 0)


def _month_of(now: datetime) -> str:
    return f"{now:%Y-%m}"
