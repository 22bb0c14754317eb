"""A minimal discord.py bot: acknowledges `/imagine`, says that it is queued, stores nothing. A program."""

from __future__ import annotations

import os

import discord
from discord import app_commands

from cogs.endpoints import set_base_url


class PlainBot(discord.Client):
    """Answers at once, from memory."""

    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
        )
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        @self.tree.command(description="Promise a picture.")
        async def imagine(interaction: discord.Interaction, prompt: str, size: str = "", steps: int = 1) -> None:
            await interaction.response.defer(thinking=True)
            await interaction.edit_original_response(content="Queued.")

        await self.tree.sync()


if __name__ == "__main__":
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    set_base_url(os.environ["ATELIER_DISCORD_URL"])
    PlainBot().run(os.environ["ATELIER_DISCORD_TOKEN"], log_handler=None)
