"""INTERACTION_CREATE, key by key as Discord sends it."""

from __future__ import annotations

from discord_sandbox.effective_permissions import compute_channel_permissions
from discord_sandbox.file_store import FileStore
from discord_sandbox.guilds import Channel, Member
from discord_sandbox.interactions import Interaction
from discord_sandbox.json_types import Json
from discord_sandbox.message_payload import serialize_message
from discord_sandbox.payloads import serialize_guild, serialize_interaction_channel, serialize_member, serialize_user
from discord_sandbox.permissions import DIRECT_MESSAGE

DM_SIZE_LIMIT = 10 * 1024 * 1024
GUILD, BOT_DM, PRIVATE_CHANNEL = 0, 1, 2


def serialize_interaction(interaction: Interaction, files: FileStore) -> Json:
    """Return the data of INTERACTION_CREATE."""
    channel = interaction.channel
    application_id = str(channel.world.application.id)
    payload: Json = {
        "id": str(interaction.id),
        "application_id": application_id,
        "type": interaction.type,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": serialize_interaction_channel(channel, interaction.member),
        "app_permissions": str(compute_bot_permissions(channel)),
        "locale": interaction.locale,
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": interaction.integration_owners,
        "context": get_context(channel),
        "attachment_size_limit": get_size_limit(channel),
    }
    payload |= _serialize_invoker(interaction)
    if interaction.source_message is not None:
        payload["message"] = serialize_message(interaction.source_message, files.sign)
    return payload


def _serialize_invoker(interaction: Interaction) -> Json:
    guild = interaction.guild
    if guild is None or interaction.member is None:
        return {"user": serialize_user(interaction.user)}
    whole = serialize_guild(guild)
    return {
        "guild_id": str(guild.id),
        "guild": {"id": whole["id"], "locale": whole["preferred_locale"], "features": whole["features"]},
        "guild_locale": whole["preferred_locale"],
        "member": serialize_invoking_member(interaction.member, interaction.channel),
    }


def serialize_invoking_member(member: Member, channel: Channel) -> Json:
    """Return a member with their permissions in the channel, which only interactions carry."""
    return serialize_member(member) | {"permissions": str(compute_channel_permissions(member, channel))}


def compute_bot_permissions(channel: Channel) -> int:
    """Return the permissions of the bot in the channel."""
    if channel.guild is None or not channel.has_bot:
        return int(DIRECT_MESSAGE)
    return compute_channel_permissions(channel.guild.bot_member, channel)


def get_context(channel: Channel) -> int:
    """Return where an interaction happens: in a guild, in the bot's direct messages, or in another private channel."""
    return GUILD if channel.guild is not None else PRIVATE_CHANNEL if channel.is_group else BOT_DM


def get_size_limit(channel: Channel) -> int:
    """Return how many bytes one file may have in this channel."""
    return channel.guild.attachment_size_limit if channel.guild else DM_SIZE_LIMIT
