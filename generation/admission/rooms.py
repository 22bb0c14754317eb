"""What admission asks: the service, the stores and the limits that Discord and the API share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from generation.jobs import ports
from generation.owner import Owner
from generation.policy.guild_access import GuildAccess
from generation.policy.member_preferences import MemberPreferences
from generation.policy.policy import Policy
from generation.policy.rate_limit import RateLimiter
from generation.requests.style import Style
from generation.rules.rulebook import Match
from generation.scheduling.service import GenerationService


class JobStore(ports.JobStore, Protocol):
    async def num_withheld(self, owner: Owner, *, since: datetime) -> int:
        """Return how many of the owner's pictures in that guild since then, an hour ago at most, were withheld."""


class PolicyStore(Protocol):
    async def fetch(self, guild_id: int) -> Policy:
        """Return what binds requests in that guild, as of the last change."""


class RuleStore(Protocol):
    async def screen(self, policy: Policy, texts: Iterable[str]) -> Collection[Match]:
        """Return which rules of a policy match, wherever they hold."""


class StyleStore(Protocol):
    async def fetch(self, guild_id: int, name: str) -> Style:
        """Return the style. Raise `InvalidRequestError`, naming those there are."""


class ModerationStore(Protocol):
    async def fetch_blocked_until(self, guild_id: int, user_id: int, *, now: datetime | None = None) -> datetime | None:
        """Return until when a user is blocked, None if they are not now."""

    async def record_refusal(self, guild_id: int, user_id: int) -> None:
        """Note that a content rule refused a request of the user, now."""


class OperatorStore(Protocol):
    async def admission(self) -> GuildAccess:
        """Return which guilds are served, as of the last change."""


class PreferencesStore(Protocol):
    @property
    def chosen(self) -> Mapping[int, MemberPreferences]:
        """What each member who chose anything has chosen, by their Discord id."""


class Rooms(Protocol):
    """`cogs.services.Services` and `api.context.ApiContext` are such."""

    @property
    def generation(self) -> GenerationService: ...
    @property
    def jobs(self) -> JobStore: ...
    @property
    def guild_policy(self) -> PolicyStore: ...
    @property
    def content_rules(self) -> RuleStore: ...
    @property
    def styles(self) -> StyleStore: ...
    @property
    def moderation(self) -> ModerationStore: ...
    @property
    def operator(self) -> OperatorStore: ...
    @property
    def preferences(self) -> PreferencesStore: ...
    @property
    def rates(self) -> RateLimiter: ...
    @property
    def allows_dms(self) -> bool: ...
    @property
    def allows_user_installs(self) -> bool: ...
