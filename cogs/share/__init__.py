"""Share pictures in a server's showcase, and take them back."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.share._cog import PRESSES, Sharing

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Sharing(bot))
    bot.add_button_handlers(PRESSES)
