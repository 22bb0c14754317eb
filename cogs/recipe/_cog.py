"""/recipe: all settings of a picture, from its id, its link, or the file itself, ours or another tool's."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from cogs.common.attachments import open_attachment, read_attachment
from cogs.common.errors import NoSettingsError, OnePictureError
from cogs.common.forms import Attached
from cogs.common.lookups import fetch_job
from cogs.common.picture_links import parse_picture_id
from cogs.common.policy_checks import require_may_request
from cogs.common.responses import edit_reply
from cogs.context import Interaction, get_owner
from cogs.recipe import _messages
from cogs.recipe._recipe import show_recipe
from generation.images.interchange import ForeignSettings
from generation.images.untrusted_decoder import read_settings


class RecipeCog(commands.Cog):
    """Settings to read and copy."""

    @app_commands.command(description="Show all settings of a picture. Only you see the answer.")
    @app_commands.describe(
        picture="The id of the picture (see its recipe), or the link to its message.",
        file="Or a file: a PNG from this bot, or from a tool such as A1111 or ComfyUI.",
    )
    async def recipe(
        self, interaction: Interaction, picture: str | None = None, file: discord.Attachment | None = None
    ) -> None:
        if (picture is None) == (file is None):
            raise OnePictureError
        if file is not None:
            await show_file(interaction, read_attachment(file))
        elif picture is not None:
            await show_recipe(
                interaction, await fetch_job(interaction, (await parse_picture_id(interaction, picture))[0])
            )


async def show_file(interaction: Interaction, file: Attached) -> None:
    """Show what a file says of itself, to the person alone. Raise `NoSettingsError` if it says nothing."""
    await require_may_request(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    async with open_attachment(interaction, file) as png:
        found = await read_settings(png, owner=get_owner(interaction))
    if found is None:
        raise NoSettingsError
    say = _messages.build_foreign(found) if isinstance(found, ForeignSettings) else _messages.build_file_recipe(found)
    await edit_reply(interaction, say)
