"""Reports, the review queue, /block, /unblock, /purge and /safety."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.moderation._cog import PRESSES, Moderation, ReviewItem, report_picture
from cogs.moderation._decisions import ReviewDesk

__all__ = ["ReviewDesk", "setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Moderation())
    bot.tree.add_command(report_picture)
    bot.add_dynamic_items(ReviewItem)
    bot.add_button_handlers(PRESSES)
