"""The first minutes in a server: one message, once, with the few choices that matter. It may be ignored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import discord
from discord.ext import commands

from cogs.common.posting_permissions import can_write_in
from cogs.context import BaseBot
from cogs.error_handler import LOST, retry_briefly
from cogs.i18n.gettext import get_guild_language, use_language
from cogs.onboarding._membership import Membership
from cogs.services import Services
from cogs.settings import build_setup_view

log = logging.getLogger(__name__)
NOT_THERE = frozenset({10004, 50001})
"""Discord's answers about a server that the bot is not in: unknown server, no access."""


class Onboarding(commands.Cog):
    """Greets new servers, and stores which servers have the bot."""

    def __init__(self, bot: BaseBot) -> None:
        self._bot = bot
        self._listening: set[asyncio.Task[None]] = set()

    @cached_property
    def _membership(self) -> Membership:
        bot = self._bot
        return Membership(bot.roster, bot.services.removed_guilds, ask=self._ask, is_over=bot.is_closed)

    async def cog_unload(self) -> None:
        """Stop what still waits for storage: the next client is told which servers there are."""
        for task in list(self._listening):
            task.cancel()

    @contextmanager
    def _until_unloaded(self) -> Iterator[None]:
        """Cancel the body when the cog is unloaded: discord.py lets the tasks of its listeners go on after a close."""
        task = asyncio.current_task()
        assert task is not None
        self._listening.add(task)
        try:
            yield
        finally:
            self._listening.discard(task)

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Discord says so of new servers only, not of those it names after a connection."""
        with self._until_unloaded():
            await self._membership.handle_join(guild.id)
            await greet_guild(guild, self._bot.services)

    @commands.Cog.listener()
    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._bot.roster.add(guild.id)

    @commands.Cog.listener()
    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Of a server that is down only for a while Discord does not say so."""
        log.info("guild=%s action=removed-from", guild.id)
        with self._until_unloaded():
            await self._membership.handle_removal(guild.id)

    @commands.Cog.listener()
    async def on_shard_ready(self, shard_id: int) -> None:
        """Also called of a client that was closed meanwhile, which may not have heard of every server."""
        with self._until_unloaded():
            await self._membership.handle_ready(shard_id)

    async def _ask(self, guild_id: int) -> bool | None:
        """Return whether Discord says that the bot is in a server; None for no clear answer."""
        try:
            await self._bot.http.get_guild(guild_id, with_counts=False)
        except discord.HTTPException as error:
            return False if error.code in NOT_THERE else None
        except LOST:
            return None
        return True


async def greet_guild(guild: discord.Guild, services: Services) -> bool:
    """Post the set-up where it can be read: the system channel, else the first one. Whether it was posted."""
    if not (await services.operator.admission()).is_admitted(guild.id):
        log.info("guild=%s action=not-admitted", guild.id)
        return False
    channel = _find_channel(guild)
    if channel is None:
        log.info("guild=%s action=no-place-to-say-hello", guild.id)
        return False
    settings = await services.guilds.fetch(guild.id)
    with use_language(get_guild_language(settings.choices.language, guild.preferred_locale)):
        view = build_setup_view(settings)
    try:
        await retry_briefly(lambda: channel.send(view=view, silent=True, nonce=f"hello{guild.id}"))
    except LOST as error:
        log.warning("guild=%s action=hello-not-said error=%s", guild.id, type(error).__name__)
        return False
    log.info("guild=%s action=said-hello", guild.id)
    return True


def _find_channel(guild: discord.Guild) -> discord.TextChannel | None:
    first = [guild.system_channel] if guild.system_channel else []
    for channel in [*first, *guild.text_channels]:
        if can_write_in(channel):
            return channel
    return None
