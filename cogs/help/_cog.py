"""/help and /about: for somebody who has just arrived."""

from __future__ import annotations

from typing import Any

from discord import app_commands
from discord.ext import commands

from cogs.common.checks import permissions_in_server
from cogs.common.messages import Say
from cogs.common.responses import reply
from cogs.context import Interaction, ListBuilder, is_operator
from cogs.help import _messages

AnyCommand = app_commands.Command[Any, ..., Any] | app_commands.Group


class Helping(commands.Cog):
    """Where to begin."""

    @app_commands.command(description="How to ask for pictures, and what the buttons do.")
    async def help(self, interaction: Interaction) -> None:
        await reply(interaction, await _help(interaction, ""))

    @app_commands.command(description="What this bot is, and how it is doing.")
    async def about(self, interaction: Interaction) -> None:
        await reply(interaction, await _about(interaction, ""))


async def _help(interaction: Interaction, _: str) -> Say:
    known = [
        (_clickable(command), command.description, interaction.client.command_ids.get(command.name))
        for command in interaction.client.tree.get_commands()
        if not isinstance(command, app_commands.ContextMenu) and _is_of_use(command, interaction)
    ]
    return _messages.help_page(known)


async def _about(interaction: Interaction, _: str) -> Say:
    studio = interaction.client.services.studio
    return _messages.about_page(
        models=[(model.name, model.licence) for model in studio.catalog.models],
        is_ready=studio.is_ready,
        is_paused=studio.is_paused,
        num_waiting=studio.num_waiting,
        num_running=studio.num_running,
    )


def _is_of_use(command: AnyCommand, interaction: Interaction) -> bool:
    """Whether the person could do anything with it here: members are not shown what managers have."""
    needed = command.default_permissions
    if command.guild_only and interaction.guild_id is None:
        return False
    if needed is None:
        return True
    if needed.administrator:  # as much as Discord can be told of operators
        return is_operator(interaction)
    return permissions_in_server(interaction) >= needed


def _clickable(command: AnyCommand) -> str:
    """The name to mention: Discord lets nobody click a group, so its first subcommand stands for it."""
    return command.name if isinstance(command, app_commands.Command) else command.commands[0].qualified_name


LISTS: dict[str, ListBuilder] = {_messages.HELP: _help, _messages.ABOUT: _about}
