"""Runs the tracker for as long as the bot is logged in."""

from __future__ import annotations

from discord.ext import commands

from cogs.context import BaseBot
from cogs.delivery._tracker import DeliveryTracker


class Delivery(commands.Cog):
    """Starts the tracker, and stops it before the bot goes."""

    def __init__(self, bot: BaseBot) -> None:
        self._bot = bot

    async def cog_load(self) -> None:
        self._tracker = self._bot.tracker = DeliveryTracker(self._bot, self._bot.services)
        await self._tracker.start()

    async def cog_unload(self) -> None:
        await self._tracker.close()
