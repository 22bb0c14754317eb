"""The owner of a request: a user, and the guild whose share pays."""

from __future__ import annotations

from dataclasses import dataclass

DM_TENANT = 0
"""The guild id that stands for all direct messages together."""
USER_TENANT = 100
"""The guild id that stands for all places where a person has brought the bot along: servers that did not add it, and
private channels. No id of Discord's is that small."""
NO_SERVERS = frozenset({DM_TENANT, USER_TENANT})
"""Tenants without members who share anything: no one there sees what is another's."""


def is_server(guild_id: int) -> bool:
    """Return whether it is a server's id, and not that of a tenant without one."""
    return guild_id not in NO_SERVERS


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asked, and where: the guild is the tenant whose share pays."""

    guild_id: int
    user_id: int
