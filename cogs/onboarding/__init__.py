"""Greet new servers, and record which servers have the bot."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.onboarding._cog import Onboarding

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Onboarding(bot))
