"""What was asked for, by window and by member, read from the balances: for `/usage`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, case, distinct, func, literal, select, type_coerce, union_all
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import BalanceRow, MemberRow, table
from db.stores.members import GUILD_ACCOUNT, find_key
from generation.policy.quota import Usage
from generation.policy.usage import Day, DayOfAll, GuildUsage, MemberUsage, beginning, sum_by_day

_balances, _members = table(BalanceRow), table(MemberRow)
_SUMS = tuple(func.sum(_balances.c[name]).label(name) for name in ("num_images", "reserved", "used"))


class UsageStore:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch_days(
        self, guild_id: int, days: Sequence[date], *, zone: ZoneInfo, user_id: int | None = None
    ) -> list[Day]:
        """Each of `days` (oldest first) with what the member asked for, or with None the guild as a whole."""
        since = beginning(days[0], zone=zone)
        windows = await self._database.read(lambda session: _windows(session, guild_id, user_id, since=since))
        return sum_by_day(windows, days, zone=zone)

    async def fetch_members(self, guild_id: int, *, since: datetime) -> list[MemberUsage]:
        """Return what each member asked for since then, most pictures first."""
        return await self._database.read(lambda session: _by_member(session, guild_id, since=since))

    async def fetch_days_of_all(self, days: Sequence[date]) -> list[DayOfAll]:
        """Return what all guilds asked for on each of these days, UTC; for the operator."""
        return await self._database.read(lambda session: _by_day(session, days)) if days else []

    async def fetch_guilds(self, *, since: datetime) -> list[GuildUsage]:
        """Return what each guild asked for since then, most work first; for the operator."""
        return await self._database.read(lambda session: _by_guild(session, since=since))


def _windows(session: Session, guild_id: int, user_id: int | None, *, since: datetime) -> list[tuple[datetime, Usage]]:
    key = GUILD_ACCOUNT if user_id is None else find_key(session, user_id)
    rows = session.execute(
        select(_balances.c.window, _balances.c.num_images, _balances.c.reserved, _balances.c.used).where(
            _balances.c.guild_id == guild_id, _balances.c.member_key == key, _balances.c.window >= since
        )
    )
    return [(row.window, Usage(row.num_images, row.reserved, row.used)) for row in rows]


def _by_member(session: Session, guild_id: int, *, since: datetime) -> list[MemberUsage]:
    """Keys that lead to no one any more come together in one row: grouped by the user id, which is NULL for them."""
    rows = session.execute(
        select(_members.c.user_id, *_SUMS)
        .select_from(_balances.outerjoin(_members, _members.c.key == _balances.c.member_key))
        .where(_balances.c.guild_id == guild_id, _balances.c.member_key != GUILD_ACCOUNT, _balances.c.window >= since)
        .group_by(_members.c.user_id)
        .having(_SUMS[0] > 0)
        .order_by(_SUMS[0].desc(), _members.c.user_id)
    )
    return [MemberUsage(row.user_id, Usage(int(row[1]), int(row[2]), int(row[3]))) for row in rows]


def _by_day(session: Session, days: Sequence[date]) -> list[DayOfAll]:
    """Return the sums of each day. Its windows are a range of the index, so other days cost nothing."""
    stored, asked = _balances.c.window.type, union_all(*(_span(number, day) for number, day in enumerate(days)))
    span = asked.subquery("days")
    is_guild, counts = _balances.c.member_key == GUILD_ACCOUNT, _balances.c.num_images > 0
    sums = (func.sum(case((is_guild, _balances.c[name]), else_=0)) for name in ("num_images", "reserved", "used"))
    begin, end = type_coerce(span.c.begin, stored), type_coerce(span.c.end, stored)
    rows = session.execute(
        select(
            span.c.number,
            *sums,
            func.count(distinct(case((~is_guild & counts, _balances.c.member_key)))),
            func.count(distinct(case((is_guild & counts, _balances.c.guild_id)))),
        )
        .join(_balances, (_balances.c.window >= begin) & (_balances.c.window < end))
        .group_by(span.c.number)
    )
    found = {
        int(row[0]): DayOfAll(
            date=days[row[0]], usage=Usage(*map(int, row[1:4])), num_members=row[4], num_guilds=row[5]
        )
        for row in rows
    }
    return [found.get(number, DayOfAll(date=day, usage=Usage())) for number, day in enumerate(days)]


def _span(number: int, day: date) -> Select[int, datetime, datetime]:
    """Return the number of a day, and from when until when it lasts."""
    begin = beginning(day, zone=ZoneInfo("UTC"))
    stored = _balances.c.window.type
    return select(
        literal(number).label("number"),
        literal(begin, stored).label("begin"),
        literal(begin + timedelta(days=1), stored).label("end"),
    )


def _by_guild(session: Session, *, since: datetime) -> list[GuildUsage]:
    rows = session.execute(
        select(_balances.c.guild_id, *_SUMS)
        .where(_balances.c.member_key == GUILD_ACCOUNT, _balances.c.window >= since)
        .group_by(_balances.c.guild_id)
        .having(_SUMS[0] > 0)
        .order_by(_SUMS[2].desc(), _balances.c.guild_id)
    )
    return [GuildUsage(row.guild_id, Usage(int(row[1]), int(row[2]), int(row[3]))) for row in rows]
