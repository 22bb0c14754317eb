"""Follow accepted jobs, and post their progress and results."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.delivery._cog import Delivery

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Delivery(bot))
