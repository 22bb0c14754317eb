"""/history: browse past pictures."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.history._cog import PRESSES, History

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(History())
    bot.add_button_handlers(PRESSES)
