"""/me: what a member chooses for themself, in every server."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.me._cog import Me

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Me())
