"""Which guilds the operator lets the bot work for. Pure; what is not a server has settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from generation.owner import is_server
from generation.policy.errors import GuildDeniedError, GuildNotNamedError


class AccessDecision(StrEnum):
    """The operator's decision about a guild; most have none."""

    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuildAccess:
    """The operator's decisions about all guilds. `is_listed_only`: a guild without one is not served either."""

    is_listed_only: bool = False
    standings: Mapping[int, AccessDecision] = field(default_factory=dict)

    def is_admitted(self, guild_id: int) -> bool:
        """Return whether requests of that guild are taken."""
        standing = self.standings.get(guild_id)
        if standing is None:
            return not self.is_listed_only or not is_server(guild_id)
        return standing is AccessDecision.ALLOWED

    def require_admitted(self, guild_id: int) -> None:
        """Raise `GuildDeniedError` or `GuildNotNamedError` unless the guild is served."""
        if self.is_admitted(guild_id):
            return
        if guild_id in self.standings:
            raise GuildDeniedError
        raise GuildNotNamedError
