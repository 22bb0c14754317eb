"""/list: lists of words of a server, of which a prompt draws a line by `__name__`."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.word_lists import _cog

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(_cog.ListGroup())
    bot.add_form_handlers(_cog.FORMS)
    bot.add_lists(_cog.LISTS)
