"""What binds requests in a guild, its settings and rules, read as one policy.

It is asked at every request, so it is kept in memory, and read again after each change. A change reads, writes and
records in one transaction: none is made of what another has changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from async_lru import alru_cache
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import ContentRuleRow
from db.stores.audit_log import Entry, record
from db.stores.content_rules import fetch_rules, select_usable
from db.stores.settings import SettingsChange, change_settings, list_settings
from db.stores.styles import replace_styles
from generation.clock import Clock, utc_now
from generation.policy.guild_settings import GuildSettings
from generation.policy.policy import Policy
from generation.requests.style import Style
from generation.rules.rulebook import RuleSet


@dataclass(frozen=True, slots=True)
class _Choices:
    """What every guild that chose anything has chosen, and which of them have rules."""

    settings: Mapping[int, GuildSettings]
    with_rules: Set[int]


class GuildPolicyStore:
    """The policy of every guild."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._choices = alru_cache(maxsize=1)(self._read_choices)
        self._policies = alru_cache(maxsize=None)(self._read_policy)

    async def fetch(self, guild_id: int) -> Policy:
        """Return what binds requests in that guild, as of the last change."""
        return await self._policies(guild_id)

    async def _read_policy(self, guild_id: int) -> Policy:
        choices = await self._choices()
        settings = choices.settings.get(guild_id, GuildSettings(guild_id=guild_id))
        if guild_id not in choices.with_rules:
            return Policy(settings=settings)
        rules = await fetch_rules(self._database, guild_id)
        return Policy(settings=settings, rules=await asyncio.to_thread(lambda: RuleSet.of(select_usable(rules))))

    async def _read_choices(self) -> _Choices:
        """Read those of all guilds at once: after a start hundreds may ask in the same second."""
        return await self._database.read(_read_choices)

    def forget(self, guild_id: int) -> None:
        """Read the guild's policy again when it is next asked for: something it is made of has changed."""
        self._choices.cache_clear()
        self._policies.cache_invalidate(guild_id)

    async def change_settings(
        self, guild_id: int, change: SettingsChange, entry: Entry, *, styles: Sequence[Style] | None = None
    ) -> tuple[GuildSettings, GuildSettings]:
        """Apply `change`, and replace the styles where `styles` are given. Return the settings before and after.

        Reading, writing and the entry in the audit log are one transaction, so two changes at once are both kept. A
        change that changes nothing is not recorded. Raise what `change` raises; nothing is stored then.
        """

        def work(session: Session) -> tuple[GuildSettings, GuildSettings]:
            before, after = change_settings(session, guild_id, change)
            if styles is not None:
                replace_styles(session, guild_id, styles)
            if styles is not None or after != before:
                record(session, guild_id, entry, at=self._clock())
            return before, after

        return await self._database.write(work, then=lambda: self.forget(guild_id))


def _read_choices(session: Session) -> _Choices:
    with_rules = session.scalars(select(ContentRuleRow.guild_id).distinct())
    return _Choices({each.guild_id: each for each in list_settings(session)}, frozenset(with_rules))
