"""/privacy: export and erase personal data."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.privacy._cog import Privacy

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Privacy())
