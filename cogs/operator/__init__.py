"""/operator: commands for those who run the bot."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.operator._cog import LISTS, Operator

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Operator())
    bot.add_lists(LISTS)
