"""/quota: limits for members and roles."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.quota._cog import LISTS, QuotaGroup
from cogs.quota._messages import WHAT_A_STEP_IS, format_day_start, format_quota

__all__ = ["WHAT_A_STEP_IS", "format_day_start", "format_quota", "setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(QuotaGroup())
    bot.add_lists(LISTS)
