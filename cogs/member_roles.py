"""Asks Discord for the roles of a member: of those who ask over HTTP, no interaction tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import aiohttp
import discord

from generation.admission.errors import MembersUnknownError
from generation.owner import Owner


class _Client(Protocol):
    @property
    def guilds(self) -> Sequence[discord.Guild]: ...
    def get_guild(self, id: int, /) -> discord.Guild | None: ...


class MemberRoles:
    """Asks the client that is connected now."""

    def __init__(self) -> None:
        self._client: _Client | None = None

    def use(self, client: _Client) -> None:
        """Ask this client from now on."""
        self._client = client

    def name_servers(self) -> dict[int, str]:
        """Return the servers that the bot is in, by id, with their names."""
        return {} if self._client is None else {guild.id: guild.name for guild in self._client.guilds}

    async def __call__(self, owner: Owner) -> tuple[int, ...] | None:
        """Return the ids of the member's roles, None if they are not in the server.

        Raise `MembersUnknownError` while Discord cannot be asked.
        """
        guild = self._client.get_guild(owner.guild_id) if self._client is not None else None
        if guild is None:
            raise MembersUnknownError
        try:
            member = await guild.fetch_member(owner.user_id)
        except discord.NotFound:
            return None
        except (discord.DiscordException, aiohttp.ClientError, OSError):
            raise MembersUnknownError from None
        return tuple(role.id for role in member.roles)
