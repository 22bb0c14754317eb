"""What the features register, without a connection: for the catalogue of texts and for tests."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from cogs.bot import load_extensions
from cogs.context import BaseBot

SlashCommand = app_commands.Command[Any, ..., Any] | app_commands.Group


class OfflineBot(BaseBot):
    """Takes what the features register, and starts nothing."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.none())

    async def add_cog(self, cog: commands.Cog, /, **_options: Any) -> None:
        for command in [cog.app_command] if cog.app_command else cog.__cog_app_commands__:
            self.tree.add_command(command)

    @property
    def slash_commands(self) -> list[SlashCommand]:
        return [each for each in self.tree.get_commands() if not isinstance(each, app_commands.ContextMenu)]

    @property
    def context_menus(self) -> list[app_commands.ContextMenu]:
        return [each for each in self.tree.get_commands() if isinstance(each, app_commands.ContextMenu)]


@cache
def load_offline_bot() -> OfflineBot:
    """Return the bot with all features. Call it outside of an event loop the first time."""
    bot = OfflineBot()
    asyncio.run(load_extensions(bot))
    return bot
