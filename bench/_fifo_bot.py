"""A bot as most are written: `/imagine`, one queue, one thread that generates first come, first served. A program.

It keeps nothing, checks nothing and knows no servers: a peer of `side_by_side`.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import discord
from discord import app_commands

from bench._side_work import Request
from bench._stock import Stock
from cogs.endpoints import set_base_url


class FifoBot(discord.Client):
    """Acknowledges, waits for its turn in the only line, and sends the picture."""

    def __init__(self, stock: Stock) -> None:
        super().__init__(intents=discord.Intents(guilds=True), chunk_guilds_at_startup=False, max_messages=None)
        self.tree = app_commands.CommandTree(self)
        self._stock = stock
        self._line = ThreadPoolExecutor(max_workers=1)

    async def setup_hook(self) -> None:
        @self.tree.command(description="Generate a picture.")
        async def imagine(
            interaction: discord.Interaction,
            prompt: str,
            size: str,
            seed: int,
            steps: int,
            guidance: float,
            sampler: str,
        ) -> None:
            await interaction.response.defer(thinking=True)
            request = Request(0, 0, prompt, seed, steps, int(size.partition("x")[0]), guidance)
            [png] = await asyncio.get_running_loop().run_in_executor(self._line, self._stock.paint, [request])
            file = discord.File(BytesIO(png), "picture.png")
            await interaction.edit_original_response(content=prompt, attachments=[file])

        await self.tree.sync()


if __name__ == "__main__":
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    set_base_url(os.environ["ATELIER_DISCORD_URL"])
    FifoBot(Stock(os.environ["ATELIER_DTYPE"])).run(os.environ["ATELIER_DISCORD_TOKEN"], log_handler=None)
