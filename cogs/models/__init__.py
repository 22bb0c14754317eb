"""/models and /loras."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.models._cog import LISTS, Models

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Models())
    bot.add_lists(LISTS)
