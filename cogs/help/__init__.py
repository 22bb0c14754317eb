"""/help and /about."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.help._cog import LISTS, Help

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Help())
    bot.add_lists(LISTS)
