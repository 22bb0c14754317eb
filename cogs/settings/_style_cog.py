"""/style: ways of asking that a server has given a name. Members choose one with `/imagine style:`."""

from __future__ import annotations

from discord import app_commands
from discord.ext import commands

from cogs.common import transformers
from cogs.common.checks import require_manager
from cogs.common.errors import StylesInServerError
from cogs.common.messages import MessageSpec
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder, get_owner
from cogs.i18n.gettext import _
from cogs.settings import _style_messages as pages
from cogs.settings._styles import keep_style, remove_style
from generation.owner import is_server
from generation.requests.style import MAX_NAME_CHARS, Style

Name = app_commands.Range[str, 1, MAX_NAME_CHARS]


@app_commands.guild_only()
class StyleGroup(
    commands.GroupCog,
    group_name="style",
    group_description="Styles: named words to add to a prompt, for everyone in this server.",
):
    """Everyone may look; only those who manage the server may change them."""

    @app_commands.command(description="Show the styles of this server.")
    async def list(self, interaction: Interaction) -> None:
        await _answer(interaction, get_owner(interaction).guild_id)

    @app_commands.command(description="Add a style, or replace the style with the same name. For managers.")
    @app_commands.describe(
        name="The name that members choose.",
        prompt="The words. {prompt} stands for the member's prompt; without it, the prompt comes first.",
        negative="What to avoid.",
    )
    async def add(
        self,
        interaction: Interaction,
        name: Name,
        prompt: transformers.Prompt,
        negative: transformers.Prompt | None = None,
    ) -> None:
        guild_id = require_manager(interaction)
        style = Style(
            guild_id=guild_id,
            name=transformers.clean_typed_prompt(name),
            prompt=transformers.clean_typed_prompt(prompt),
            negative=transformers.clean_typed_prompt(negative),
        )
        await keep_style(interaction, style)
        await _answer(interaction, guild_id, done=_(pages.STYLE_KEPT, name=style.name))

    @app_commands.command(description="Remove a style. For managers.")
    @app_commands.describe(name="Its name.")
    async def remove(self, interaction: Interaction, name: app_commands.Transform[str, transformers.StyleName]) -> None:
        guild_id = require_manager(interaction)
        style = await remove_style(interaction, guild_id, name)
        await _answer(interaction, guild_id, done=_(pages.STYLE_GONE, name=style.name))


async def _answer(interaction: Interaction, guild_id: int, *, done: str | None = None) -> None:
    await send_reply(interaction, await _build_styles(interaction, guild_id, done=done))


async def _build_styles(interaction: Interaction, guild_id: int, *, done: str | None = None) -> MessageSpec:
    if not is_server(guild_id):
        raise StylesInServerError
    return pages.build_styles(await interaction.client.services.styles.fetch_all(guild_id), done=done)


async def _rebuild(interaction: Interaction, _: str) -> MessageSpec:
    return await _build_styles(interaction, get_owner(interaction).guild_id)


LISTS: dict[str, ListBuilder] = {pages.KEY: _rebuild}
