"""The bot as features see it: its services, its tracker, and where they register what they handle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import aiohttp
import discord
from discord.ext import commands

from cogs.common.forms import Answers
from cogs.common.messages import Action, MessageSpec
from cogs.roster import Roster
from cogs.services import Services
from generation.jobs.job import ReplyTo
from generation.owner import DM_TENANT, USER_TENANT, Owner, is_server


class JobTracker(Protocol):
    """Follows accepted jobs and keeps their messages up to date."""

    def watch(self, job_id: str, reply_to: ReplyTo, *, size_limit: int) -> None:
        """Follow a new job. `size_limit`: the largest file, in bytes, that may be posted where it was asked for."""

    async def shown(self, job_id: str) -> bool:
        """Wait until a job's message has replaced the “thinking…”; return False if it will not."""

    def has_kept(self, user_id: int) -> bool:
        """Return whether there are results of this person that could not be posted, and that they were not told of."""

    async def tell_kept(self, interaction: Interaction) -> None:
        """Tell a person, on the next occasion, of results that could not be posted."""

    def take_kept(self, user_id: int) -> list[str]:
        """Return why results of this person could not be posted, once."""


class BaseBot(commands.AutoShardedBot):
    """What every feature may use of the bot. `cogs.bot` builds the real one."""

    services: Services
    tracker: JobTracker
    connector: aiohttp.BaseConnector | None
    """What its connections go through; None for the usual one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(command_prefix=commands.when_mentioned, help_command=None, **options)
        self.command_ids: dict[str, int] = {}
        """Ids of the registered commands by their names."""
        self.button_handlers: dict[Action, ButtonHandler] = {}
        self.form_handlers: dict[Action, FormHandler] = {}
        self.lists: dict[str, ListBuilder] = {}
        self.roster = Roster()

    def add_button_handlers(self, handlers: Mapping[Action, ButtonHandler]) -> None:
        self.button_handlers.update(handlers)

    def add_form_handlers(self, handlers: Mapping[Action, FormHandler]) -> None:
        self.form_handlers.update(handlers)

    def add_lists(self, lists: Mapping[str, ListBuilder]) -> None:
        """Register lists that are shown by pages, by their keys."""
        self.lists.update(lists)

    async def handle_button(self, interaction: Interaction, action: str, subject: str) -> None:
        """Run the handler of a pressed button or a chosen menu entry."""
        raise NotImplementedError


Interaction = discord.Interaction[BaseBot]
ButtonHandler = Callable[[Interaction, str], Awaitable[None]]
"""Handles a pressed button: given the button's subject."""
FormHandler = Callable[[Interaction, str, Answers], Awaitable[None]]
"""Handles a sent form: given the form's subject, and what was filled in."""
ListBuilder = Callable[[Interaction, str], Awaitable[MessageSpec]]
"""Builds the message of a list as of now, and checks who may read it: given the rest of the list's key."""


def get_owner(interaction: Interaction) -> Owner:
    """Return who acts, and the tenant they act in: the server where the bot is, also for a user who installed it;
    else what stands for other places."""
    guild_id = interaction.guild_id
    if guild_id is not None:
        is_there = interaction.is_guild_integration() or interaction.client.get_guild(guild_id) is not None
        return Owner(guild_id if is_there else USER_TENANT, interaction.user.id)
    return Owner(_find_tenant_of_messages(interaction), interaction.user.id)


def _find_tenant_of_messages(interaction: Interaction) -> int:
    """Return the tenant of direct messages, or that of user installs.

    In the bot's own direct messages, a person who has installed it may ask even where these are switched off.
    """
    if interaction.context.private_channel:
        return USER_TENANT
    services = interaction.client.services
    is_theirs = services.allows_user_installs and not services.allows_dms and interaction.is_user_integration()
    return USER_TENANT if is_theirs else DM_TENANT


def is_in_server(interaction: Interaction) -> bool:
    """Return whether it is in a server that has the bot, and whose choices bind."""
    return is_server(get_owner(interaction).guild_id)


def is_operator(interaction: Interaction) -> bool:
    """Return whether the person is one of those who run the bot."""
    return interaction.user.id in interaction.client.services.owner_ids


def list_role_ids(interaction: Interaction) -> list[int]:
    """Return the person's roles in this server, as Discord sends them with every interaction."""
    return [role.id for role in interaction.user.roles] if isinstance(interaction.user, discord.Member) else []
