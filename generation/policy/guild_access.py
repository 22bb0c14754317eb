"""Which guilds the operator lets the bot work for. Pure; direct messages have a setting of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from generation.errors import NotAllowedError
from generation.owner import DM_TENANT
from generation.translatable import Phrase


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
            return guild_id == DM_TENANT or not self.is_listed_only
        return standing is AccessDecision.ALLOWED

    def require_admitted(self, guild_id: int) -> None:
        """Raise `NotAllowedError`, politely, unless the guild is served."""
        if self.is_admitted(guild_id):
            return
        if guild_id in self.standings:
            raise NotAllowedError(
                why=Phrase(
                    "The operator of this bot does not let me paint in this server. "
                    "What you have made here is not lost."
                )
            )
        raise NotAllowedError(
            why=Phrase(
                "I paint only in servers that the operator of this bot has named, and this one is not among them yet."
            )
        )
