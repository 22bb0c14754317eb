"""/help and /about: for a person who has just arrived."""

from __future__ import annotations

from typing import Any

from discord import app_commands
from discord.ext import commands

from cogs.common.checks import get_permissions_in_server
from cogs.common.messages import MessageSpec
from cogs.common.model_lines import format_licence
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder, is_in_server, is_operator
from cogs.help import _messages

AnyCommand = app_commands.Command[Any, ..., Any] | app_commands.Group


class Help(commands.Cog):
    """Where to begin."""

    @app_commands.command(description="Learn how to make pictures and what the buttons do.")
    async def help(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_help(interaction, ""))

    @app_commands.command(description="Show what this bot is, its models and its state.")
    async def about(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_about(interaction, ""))


async def _build_help(interaction: Interaction, _: str) -> MessageSpec:
    known = [
        (_get_clickable_name(command), command.description, interaction.client.command_ids.get(command.name))
        for command in interaction.client.tree.get_commands()
        if not isinstance(command, app_commands.ContextMenu) and _is_useful(command, interaction)
    ]
    return _messages.build_help(known)


async def _build_about(interaction: Interaction, _: str) -> MessageSpec:
    services = interaction.client.services
    generation, cloud = services.generation, services.cloud_terms
    return _messages.build_about(
        models=[(model.name, format_licence(model)) for model in generation.catalog.models],
        is_ready=generation.is_ready,
        is_paused=generation.is_paused,
        num_waiting=generation.num_waiting,
        num_running=generation.num_running,
        cloud=None if cloud is None else cloud.host,
    )


def _is_useful(command: AnyCommand, interaction: Interaction) -> bool:
    """Return whether the person could do anything with it here: members are not shown what managers have."""
    needed = command.default_permissions
    if command.guild_only and not is_in_server(interaction):
        return False
    if needed is None:
        return True
    if needed.administrator:  # as much as Discord can be told of operators
        return is_operator(interaction)
    return get_permissions_in_server(interaction) >= needed


def _get_clickable_name(command: AnyCommand) -> str:
    """Return the name to mention: a group cannot be clicked in Discord, so its first subcommand stands for it."""
    return command.name if isinstance(command, app_commands.Command) else command.commands[0].qualified_name


LISTS: dict[str, ListBuilder] = {_messages.HELP: _build_help, _messages.ABOUT: _build_about}
