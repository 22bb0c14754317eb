"""Keeps the status up to date: numbers only, for everyone reads it, in every server."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord
from discord.ext import commands

from cogs.context import BaseBot
from cogs.presence import _messages

log = logging.getLogger(__name__)
EVERY_S = 15.0
"""Discord takes 5 changes in 20 s of each connection, and drops it for more."""


class Presence(commands.Cog):
    """Looks now and then, and says what has changed since: so many changes are one."""

    def __init__(self, bot: BaseBot) -> None:
        self._bot = bot
        self._shown: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def cog_unload(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        if self._task is None and self._bot.services.shows_presence:
            self._task = asyncio.create_task(self._follow(), name="presence")

    @commands.Cog.listener()
    async def on_shard_ready(self, shard_id: int) -> None:
        """Have the status sent again, at the next look: a new session has none yet."""
        self._shown = None

    async def _follow(self) -> None:
        while True:
            await self._update()
            await asyncio.sleep(EVERY_S)

    async def _update(self) -> None:
        generation = self._bot.services.generation
        text = _messages.format_status(
            generation.num_running,
            generation.num_waiting,
            is_closed=generation.is_closed,
            is_paused=generation.is_paused,
        )
        if text == self._shown:
            return
        try:
            await self._bot.change_presence(activity=discord.CustomActivity(text))
        except (discord.DiscordException, aiohttp.ClientError, OSError, AttributeError) as error:
            # Between two connections there is none to tell, and discord.py has no socket then.
            log.info("action=presence-not-shown error=%s", type(error).__name__)
            return
        self._shown = text
