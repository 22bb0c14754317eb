"""Quotas: keeping them, checking them inside the transaction that reserves, and showing what is left."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import GuildSettingsRow, MemberRow, QuotaRow, table
from db.sql import Executor
from db.stores.ledger import find_oldest_use, sum_usage
from db.stores.members import GUILD_ACCOUNT, ensure_key, find_key
from generation.jobs.job import Job
from generation.owner import Owner
from generation.policy.guild_settings import GuildSettings, check_zone, zone
from generation.policy.quota import (
    MAX_WINDOW_HOURS,
    Allowance,
    Quota,
    Scope,
    Unit,
    Usage,
    find_first_window,
    group_quotas,
    renewal,
    require_room,
)

log = logging.getLogger(__name__)

_quotas, _members, _settings = table(QuotaRow), table(MemberRow), table(GuildSettingsRow)
_QUOTAS = (
    select(_quotas, _members.c.user_id)
    .outerjoin(_members, (_members.c.key == _quotas.c.subject) & (_quotas.c.scope == Scope.USER))
    .where(_quotas.c.guild_id == bindparam("guild_id"))
)
_LIMITED = select(_quotas.c.guild_id).where(_quotas.c.guild_id.in_(bindparam("guilds", expanding=True))).distinct()
_TIMEZONE = select(_settings.c.timezone).where(_settings.c.guild_id == bindparam("guild_id"))


class QuotaStore:
    """What a guild allows, and what of it is used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch_quotas(self, guild_id: int) -> list[Quota]:
        """Every quota of the guild: the guild's own first, then by role, then by member."""
        return await self._database.read(lambda session: _fetch_quotas(session, guild_id))

    async def set_quota(self, guild_id: int, quota: Quota) -> None:
        """Set the quota of that scope, subject and unit, in place of the one there may be."""
        await self._database.write(lambda session: _set_quota(session, guild_id, quota))

    async def remove_quota(self, guild_id: int, quota: Quota) -> bool:
        """Remove the quota of that scope, subject and unit, whatever its limit. False if there was none."""
        return await self._database.write(lambda session: _remove_quota(session, guild_id, quota))

    async def fetch_allowances(
        self, owner: Owner, *, role_ids: Collection[int], now: datetime
    ) -> list[tuple[Allowance, ...]]:
        """Return what binds this member now, as groups of alternatives: in each, the one with most left counts."""
        return await self._database.read(lambda session: _fetch_allowances(session, owner, role_ids=role_ids, now=now))

    async def fetch_guild_usage(self, guild_id: int, *, since: datetime) -> Usage:
        """Return what the guild as a whole asked for since then (whole windows)."""
        return await self._database.read(
            lambda session: sum_usage(session, guild_id, member_key=GUILD_ACCOUNT, since=since)
        )


def find_limited(session: Executor, guild_ids: Collection[int]) -> set[int]:
    """Return those of the guilds that have quotas."""
    return set(session.scalars(_LIMITED, {"guilds": list(guild_ids)}))


def check_quotas(session: Executor, job: Job, *, member_key: int, role_ids: Collection[int]) -> None:
    """Raise `QuotaExceededError` unless every quota that binds the owner has room for the whole job."""
    groups = _allowances(session, job.owner, member_key=member_key, role_ids=role_ids, now=job.created_at)
    if not groups:
        return
    needed = {Unit.IMAGES: len(job.images), Unit.COST: sum(image.reserved for image in job.images)}
    timezone = _timezone(session, job.owner.guild_id)
    for group in groups:
        require_room(group, needed, timezone=timezone)


def _allowances(
    session: Executor, owner: Owner, *, member_key: int | None, role_ids: Collection[int], now: datetime
) -> list[tuple[Allowance, ...]]:
    quotas = _fetch_quotas(session, owner.guild_id)
    if not quotas:
        return []
    day = zone(_timezone(session, owner.guild_id))

    def allowance(quota: Quota) -> Allowance:
        account = GUILD_ACCOUNT if quota.scope is Scope.GUILD else member_key
        if account is None:
            return Allowance(quota, Usage())
        since = find_first_window(quota, now, zone=day)
        usage = sum_usage(session, owner.guild_id, member_key=account, since=since)
        oldest = (
            find_oldest_use(session, owner.guild_id, member_key=account, since=since) if quota.window_hours else None
        )
        return Allowance(quota, usage, renewal(quota, now, zone=day, oldest=oldest))

    groups = group_quotas(quotas, guild_id=owner.guild_id, user_id=owner.user_id, role_ids=role_ids)
    return [tuple(allowance(quota) for quota in group) for group in groups]


def _fetch_quotas(session: Executor, guild_id: int) -> list[Quota]:
    rows = session.execute(_QUOTAS, {"guild_id": guild_id})
    quotas = [quota for row in rows if (quota := _quota(row)) is not None]
    order = list(Scope)
    return sorted(quotas, key=lambda quota: (order.index(quota.scope), quota.subject_id, quota.unit))


def _quota(row: Row[tuple[Any, ...]]) -> Quota | None:
    """Return a stored quota, held to today's limits; None if this release cannot tell what it counts."""
    try:
        hours = row.window_hours and min(max(row.window_hours, 1), MAX_WINDOW_HOURS)
        return Quota(
            scope=Scope(row.scope),
            subject_id=row.subject if row.user_id is None else row.user_id,
            unit=Unit(row.unit),
            limit=max(row.allowance, 0),
            window_hours=hours,
        )
    except (ValueError, TypeError):
        log.error("guild=%s subject=%s action=quota-unreadable", row.guild_id, row.subject)
        return None


def _set_quota(session: Session, guild_id: int, quota: Quota) -> None:
    _remove_quota(session, guild_id, quota)
    is_user = quota.scope is Scope.USER
    session.execute(
        insert(QuotaRow).values(
            guild_id=guild_id,
            scope=quota.scope,
            subject=ensure_key(session, quota.subject_id) if is_user else quota.subject_id,
            unit=quota.unit,
            allowance=quota.limit,
            window_hours=quota.window_hours,
        )
    )


def _remove_quota(session: Session, guild_id: int, quota: Quota) -> bool:
    subject = find_key(session, quota.subject_id) if quota.scope is Scope.USER else quota.subject_id
    stored = delete(QuotaRow).where(
        QuotaRow.guild_id == guild_id,
        QuotaRow.scope == quota.scope,
        QuotaRow.subject == subject,
        QuotaRow.unit == quota.unit,
    )
    return session.execute(stored.returning(QuotaRow.unit)).first() is not None


def _fetch_allowances(
    session: Session, owner: Owner, *, role_ids: Collection[int], now: datetime
) -> list[tuple[Allowance, ...]]:
    return _allowances(session, owner, member_key=find_key(session, owner.user_id), role_ids=role_ids, now=now)


def _timezone(session: Executor, guild_id: int) -> str:
    chosen: str | None = session.scalar(_TIMEZONE, {"guild_id": guild_id})
    return check_zone(chosen) if chosen else GuildSettings(guild_id=guild_id).timezone
