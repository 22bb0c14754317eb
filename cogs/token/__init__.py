"""/token: keys with which a member's programs ask for pictures over HTTP."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.token._cog import TokenGroup

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(TokenGroup())
