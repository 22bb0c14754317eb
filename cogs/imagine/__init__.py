"""/imagine, and what begins with an attached image: from typed options to a request."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.imagine._cog import DEFAULT_STRENGTH, Imagine, submit_from_image
from cogs.imagine._control import ControlCommand, submit_guided
from cogs.imagine._edit import EditCommand, submit_edit
from cogs.imagine._from_image import FromImage, submit_upscale
from cogs.imagine._guide import Guide
from cogs.imagine._reference import Reference
from cogs.imagine._typed import fill_in, tell_notes

__all__ = [
    "DEFAULT_STRENGTH",
    "Guide",
    "Reference",
    "fill_in",
    "setup",
    "submit_edit",
    "submit_from_image",
    "submit_guided",
    "submit_upscale",
    "tell_notes",
]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(Imagine())
    await bot.add_cog(FromImage())
    await bot.add_cog(ControlCommand())
    await bot.add_cog(EditCommand())
