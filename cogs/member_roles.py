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

    @property
    def client(self) -> _Client:
        """The client that is connected now. Raise `MembersUnknownError` before there is one."""
        if self._client is None:
            raise MembersUnknownError
        return self._client

    def name_servers(self) -> dict[int, str]:
        """Return the servers that the bot is in, by id, with their names."""
        return {} if self._client is None else {guild.id: guild.name for guild in self._client.guilds}

    async def __call__(self, owner: Owner) -> tuple[int, ...] | None:
        """Return the ids of the member's roles, None if they are not in the server.

        Raise `MembersUnknownError` while Discord cannot be asked.
        """
        member = await self.fetch_member(owner)
        return None if member is None else tuple(role.id for role in member.roles)

    async def fetch_member(self, owner: Owner) -> discord.Member | None:
        """Return the member, None if they are not in the server. Raise `MembersUnknownError`."""
        guild = self.client.get_guild(owner.guild_id)
        if guild is None:
            raise MembersUnknownError
        try:
            return await guild.fetch_member(owner.user_id)
        except discord.NotFound:
            return None
        except (discord.DiscordException, aiohttp.ClientError, OSError):
            raise MembersUnknownError from None
