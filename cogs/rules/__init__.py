"""/rules: content rules of a server."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.rules._cog import LISTS, RulesGroup

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(RulesGroup())
    bot.add_lists(LISTS)
