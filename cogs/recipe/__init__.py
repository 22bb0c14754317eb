"""/recipe and /reproduce: show how a picture was made, and make it again."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.recipe._cog import RecipeCog, show_file
from cogs.recipe._recipe import PRESSES, show_recipe
from cogs.recipe._reproduce import Reproduce

__all__ = ["setup", "show_file", "show_recipe"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(RecipeCog())
    await bot.add_cog(Reproduce())
    bot.add_button_handlers(PRESSES)
