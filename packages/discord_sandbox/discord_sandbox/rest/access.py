"""The access checks of the routes on channels, guilds and messages."""

from __future__ import annotations

from discord_sandbox.errors import (
    MissingAccessError,
    MissingPermissionsError,
    UnknownChannelError,
    UnknownGuildError,
    UnknownMessageError,
)
from discord_sandbox.guilds import Channel, Guild, Message
from discord_sandbox.interaction_payload import compute_bot_permissions
from discord_sandbox.permissions import Permission, may_send
from discord_sandbox.rest.call import Call


def find_channel(call: Call) -> Channel:
    """Return the path's channel, which the bot must be able to see. Raise 10003 or 50001."""
    channel = call.services.world.channels.get(call.get_id("channel_id"))
    if channel is None:
        raise UnknownChannelError()
    if not channel.has_bot:
        raise MissingAccessError()
    if channel.guild is not None:
        require(channel, Permission.VIEW_CHANNEL)
    return channel


def require(channel: Channel, permission: Permission) -> None:
    """Raise 50001 for a channel the bot cannot see, 50013 for a right it lacks there."""
    bits = compute_bot_permissions(channel)
    if channel.guild is not None and not bits & Permission.VIEW_CHANNEL:
        raise MissingAccessError()
    if not bits & permission:
        raise MissingPermissionsError()


def require_sending(channel: Channel) -> None:
    """Raise 50013 unless the bot may write here."""
    if not may_send(compute_bot_permissions(channel), is_thread=channel.is_thread):
        raise MissingPermissionsError()


def find_guild(call: Call) -> Guild:
    """Return the path's guild, which the bot must be in. Raise 10004 otherwise."""
    guild = call.services.world.guilds.get(call.get_id("guild_id"))
    if guild is None or not guild.has_bot:
        raise UnknownGuildError()
    return guild


def find_message(call: Call, channel: Channel) -> Message:
    """Return the path's message. Raise 10008 if it is unknown or ephemeral: the bot's token cannot reach that."""
    message = channel.get_message(call.get_id("message_id"))
    if message is None or message.is_ephemeral:
        raise UnknownMessageError()
    return message
