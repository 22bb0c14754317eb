"""/usage: what members and servers used."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.usage._cog import Usage

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Usage())
