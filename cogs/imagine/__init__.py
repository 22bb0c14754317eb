"""/imagine, and what begins with an attached image: from typed options to a request."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.imagine._cog import DEFAULT_STRENGTH, Imagine, Typed, paint_from
from cogs.imagine._from_image import FromPictures, enlarge_attached

__all__ = ["DEFAULT_STRENGTH", "Typed", "enlarge_attached", "paint_from", "setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Imagine())
    await bot.add_cog(FromPictures())
