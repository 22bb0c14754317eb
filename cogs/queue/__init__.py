"""/queue and /cancel: show and cancel waiting jobs."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.queue._cog import LISTS, Queue

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Queue())
    bot.add_lists(LISTS)
