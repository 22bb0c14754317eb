"""Who may run a server, and who may act on a message. What Discord hides from its client is a hint; this is the check.

What acts on the server asks for the right in the server; what acts on a message asks for it in the message's channel.
Discord sends the rights in the channel with an interaction, and a channel's overwrites can grant or take most of them
there: so the rights in the server are worked out from the member's roles.
"""

from __future__ import annotations

from contextlib import suppress

import discord

from cogs.common.errors import ManagedInServerError, NotAManagerError, NotAModeratorError, RolesUnknownError
from cogs.common.plain_text import build_plain
from cogs.context import BaseBot, Interaction, is_in_server
from cogs.error_handler import LOST
from cogs.i18n.gettext import format_value, get_guild_language, use_language
from db.stores.audit_log import Entry
from generation.errors import NotAllowedError


def require_manager(interaction: Interaction) -> int:
    """Return the server's id. Raise `NotAllowedError` unless the person may manage it."""
    return _require(interaction, discord.Permissions(manage_guild=True), NotAManagerError)


def require_moderator(interaction: Interaction) -> int:
    """Return the server's id. Raise `NotAllowedError` unless the person may moderate all of it."""
    return _require(interaction, discord.Permissions(manage_messages=True), NotAModeratorError)


def _require(interaction: Interaction, needed: discord.Permissions, otherwise: type[NotAllowedError]) -> int:
    if interaction.guild_id is None or not is_in_server(interaction):
        raise ManagedInServerError
    if interaction.guild is None or interaction.guild.get_role(interaction.guild_id) is None:  # @everyone
        raise RolesUnknownError
    if not get_permissions_in_server(interaction) >= needed:
        raise otherwise
    return interaction.guild_id


def get_permissions_in_server(interaction: Interaction) -> discord.Permissions:
    """Return what the person's roles let them do in the server, whatever a channel grants or takes.

    The member's roles come with the interaction; what each may do, and who owns the server, from the gateway. None
    before the gateway has told them.
    """
    member = interaction.user
    return member.guild_permissions if isinstance(member, discord.Member) else discord.Permissions.none()


def may_moderate_in(interaction: Interaction, channel_id: int) -> bool:
    """Return whether the person may manage the messages of that channel or thread of the server.

    A channel that is not known (it was deleted, or is an archived thread) takes the right in the server.
    """
    member = interaction.user
    if not isinstance(member, discord.Member):
        return False
    if channel_id == interaction.channel_id:
        return interaction.permissions.manage_messages
    channel = member.guild.get_channel_or_thread(channel_id)
    if channel is None or (isinstance(channel, discord.Thread) and channel.parent is None):
        return get_permissions_in_server(interaction).manage_messages
    return channel.permissions_for(member).manage_messages


def build_audit_entry(interaction: Interaction, text: str) -> Entry:
    """Return the entry in the audit trail for what a person does: when, Discord says."""
    return Entry(interaction.user.id, text, interaction.created_at)


async def fetch_language_of_server(interaction: Interaction) -> str:
    """Return the language of what all members of this server read."""
    return await _fetch_language(interaction.client, interaction.guild_id or 0, interaction.guild_locale)


async def fetch_language_of_guild(bot: BaseBot, guild: discord.Guild) -> str:
    """Return the same where no interaction tells it."""
    return await _fetch_language(bot, guild.id, guild.preferred_locale)


async def _fetch_language(bot: BaseBot, guild_id: int, locale: discord.Locale | None) -> str:
    policy = await bot.services.guild_policy.fetch(guild_id)
    return get_guild_language(policy.choices.language, locale)


async def tell_log_channel(interaction: Interaction, text: str) -> None:
    """Tell the guild's log channel, if it chose one, who changed what, in the guild's language.

    Best effort: the audit trail has it anyway.
    """
    assert interaction.guild_id is not None, "only those who manage a server change anything"
    if interaction.guild is not None:
        language = await fetch_language_of_server(interaction)
        await write_in_log_channel(interaction.client, interaction.guild, interaction.user.id, text, language=language)


async def write_in_log_channel(bot: BaseBot, guild: discord.Guild, user_id: int, text: str, *, language: str) -> None:
    """Tell the guild's log channel, if it chose one, what a person changed; best effort."""
    channel_id = (await bot.services.guild_policy.fetch(guild.id)).choices.log_channel_id
    if channel_id and guild.get_channel_or_thread(channel_id) is not None:
        channel = bot.get_partial_messageable(channel_id, guild_id=guild.id)
        with use_language(language), suppress(*LOST):
            await channel.send(**build_plain(f"<@{user_id}> {format_value(text)}"), silent=True)
