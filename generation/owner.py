"""The owner of a request: a user, and the guild whose share pays."""

from __future__ import annotations

from dataclasses import dataclass

DM_TENANT = 0
"""The guild id that stands for all direct messages together."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asked, and where: the guild is the tenant whose share pays."""

    guild_id: int
    user_id: int
