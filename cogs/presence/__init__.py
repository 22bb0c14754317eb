"""What the bot is doing, in its own status: how many pictures it paints and how many wait."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.presence._cog import Presence

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Presence(bot))
