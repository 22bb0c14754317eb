"""/compare: one prompt or several, painted with several models, LoRA, samplers, steps, guidance values or seeds."""

from __future__ import annotations

from cogs.compare._cog import Compare
from cogs.context import BaseBot

__all__ = ["setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Compare())
