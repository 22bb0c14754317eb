"""A message as Discord's JSON, its links freshly signed and its mentions found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from discord_sandbox.guilds import Guild, InteractionMetadata, Message
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import Attachment
from discord_sandbox.payloads import serialize_bare_member, serialize_user
from discord_sandbox.users import User

Sign = Callable[[str], str]
FORWARD = 1
_SNAPSHOT_KEYS = (
    "type",
    "content",
    "mentions",
    "mention_roles",
    "attachments",
    "embeds",
    "timestamp",
    "edited_timestamp",
    "flags",
    "components",
)
_SECRET = {"content": "", "embeds": [], "attachments": [], "components": []}
_USER_MENTION = re.compile(r"<@!?(\d+)>")
_ROLE_MENTION = re.compile(r"<@&(\d+)>")


def serialize_attachment(attachment: Attachment, sign: Sign) -> Json:
    url = sign(attachment.url)
    payload: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": attachment.size,
        "url": url,
        "proxy_url": url,
        "content_type": attachment.content_type,
    }
    if attachment.width is not None:
        payload |= {"width": attachment.width, "height": attachment.height}
    if attachment.description is not None:
        payload["description"] = attachment.description
    if attachment.is_ephemeral:
        payload["ephemeral"] = True
    return payload


def serialize_message(message: Message, sign: Sign, *, with_reference: bool = True) -> Json:
    """Return the message as REST answers and interactions carry it."""
    payload = _serialize_body(message, sign)
    payload |= {
        "id": str(message.id),
        "channel_id": str(message.channel.id),
        "author": serialize_user(message.author),
        "type": message.type,
        "timestamp": message.timestamp,
        "edited_timestamp": message.edited_timestamp,
        "flags": message.flags,
        "pinned": message.is_pinned,
        "tts": message.tts,
    }
    if message.nonce is not None:
        payload["nonce"] = message.nonce
    if message.reactions:
        payload["reactions"] = [_serialize_reaction(message, emoji) for emoji in message.reactions]
    if message.reference is not None:
        payload |= _serialize_reference(message, message.reference, sign, with_message=with_reference)
    if message.forwarded is not None:
        reference = _serialize_reference(message, message.forwarded, sign, with_message=False)["message_reference"]
        payload["message_reference"] = reference | {"type": FORWARD}
        payload["message_snapshots"] = [{"message": sign_links(message.snapshot, sign)}]
    if message.interaction is not None:
        payload |= _serialize_interaction(message, message.interaction)
    return payload


def serialize_snapshot(message: Message) -> Json:
    """Return the message as a forward shows it, without its author and with unsigned links."""
    whole = serialize_message(message, lambda url: url)
    return {key: whole[key] for key in _SNAPSHOT_KEYS}


def serialize_event_message(message: Message, sign: Sign) -> Json:
    """Return the message as MESSAGE_CREATE and MESSAGE_UPDATE carry it."""
    payload = serialize_message(message, sign)
    guild = message.channel.guild
    if guild is not None:
        payload["guild_id"] = str(guild.id)
        member = guild.members.get(message.author.id)
        if member is not None:
            payload["member"] = serialize_bare_member(member)
        payload["mentions"] = [_serialize_mention(guild, user) for user in find_mentioned_users(message)]
    return payload | {"channel_type": message.channel.type}


def _serialize_mention(guild: Guild, user: User) -> Json:
    """Return a mentioned user with their member data, which events of a guild carry."""
    member = guild.members.get(user.id)
    return serialize_user(user) | ({"member": serialize_bare_member(member)} if member is not None else {})


def _serialize_body(message: Message, sign: Sign) -> Json:
    embeds = sign_links(message.embeds, sign)
    shown_in_embeds = {item.url for item in message.attachments if _refers(message.embeds, item.url)}
    return {
        "content": message.content,
        "embeds": embeds,
        "components": sign_links(message.components, sign),
        # A file shown by an embed is not listed again beside it: so does Discord.
        "attachments": [
            serialize_attachment(item, sign) for item in message.attachments if item.url not in shown_in_embeds
        ],
        "mentions": [serialize_user(user) for user in find_mentioned_users(message)],
        "mention_roles": _find_mentioned_roles(message),
        "mention_everyone": mentions_everyone(message),
    }


def sign_links(value: Any, sign: Sign) -> Any:
    """Return a copy of a JSON value with every link to our own files signed."""
    if isinstance(value, dict):
        return {
            key: sign(item)
            if key in ("url", "proxy_url", "icon_url") and isinstance(item, str)
            else sign_links(item, sign)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [sign_links(item, sign) for item in value]
    return value


def _refers(value: Any, url: str) -> bool:
    if isinstance(value, dict):
        return any(_refers(item, url) for item in value.values())
    if isinstance(value, list):
        return any(_refers(item, url) for item in value)
    return bool(value == url)


def find_mentioned_users(message: Message) -> list[User]:
    """Return whom the message mentions, as far as `allowed_mentions` lets it."""
    users = message.channel.world.users
    found = {int(number) for number in _USER_MENTION.findall(message.content)}
    allowed = message.allowed_mentions
    if allowed is not None and "users" not in allowed.get("parse", []):
        found &= {int(number) for number in allowed.get("users") or []}
    return [users[number] for number in sorted(found) if number in users]


def _find_mentioned_roles(message: Message) -> list[str]:
    found = set(_ROLE_MENTION.findall(message.content))
    allowed = message.allowed_mentions
    if allowed is not None and "roles" not in allowed.get("parse", []):
        found &= {str(number) for number in allowed.get("roles") or []}
    return sorted(found)


def mentions_everyone(message: Message) -> bool:
    if "@everyone" not in message.content and "@here" not in message.content:
        return False
    return message.allowed_mentions is None or "everyone" in message.allowed_mentions.get("parse", [])


def _serialize_reaction(message: Message, emoji: str) -> Json:
    who = message.reactions[emoji]
    return {
        "emoji": {"id": None, "name": emoji},
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "burst_colors": [],
        "me_burst": False,
        "me": message.channel.world.bot.id in who,
    }


def _serialize_reference(message: Message, target: Message, sign: Sign, *, with_message: bool) -> Json:
    reference: Json = {"type": 0, "channel_id": str(target.channel.id), "message_id": str(target.id)}
    if target.channel.guild is not None:
        reference["guild_id"] = str(target.channel.guild.id)
    payload: Json = {"message_reference": reference}
    if with_message:
        gone = target.is_deleted
        payload["referenced_message"] = None if gone else serialize_message(target, sign, with_reference=False)
    return payload


def _serialize_interaction(message: Message, interaction: InteractionMetadata) -> Json:
    world = message.channel.world
    payload: Json = {
        "application_id": str(world.application.id),
        "webhook_id": str(world.application.id),
        "interaction_metadata": serialize_interaction_metadata(interaction),
    }
    if interaction.command_name is not None:
        payload["interaction"] = {
            "id": str(interaction.id),
            "type": interaction.type,
            "name": interaction.command_name,
            "user": serialize_user(interaction.user),
        }
    return payload


def serialize_interaction_metadata(interaction: InteractionMetadata) -> Json:
    """Return which interaction a message answers, and through which others it came."""
    payload: Json = {
        "id": str(interaction.id),
        "type": interaction.type,
        "user": serialize_user(interaction.user),
        "authorizing_integration_owners": interaction.integration_owners,
    }
    if interaction.source_message is not None and interaction.type == 3:
        payload["interacted_message_id"] = str(interaction.source_message.id)
    if interaction.opened_by is not None:
        payload["triggering_interaction_metadata"] = serialize_interaction_metadata(interaction.opened_by)
    return payload


def hide_content(data: Json, message: Message, bot: User) -> Json:
    """Return a message as a bot without the content intent gets it: whole if it is its own, direct, or mentions it."""
    is_readable = message.author is bot or message.channel.is_dm or bot in find_mentioned_users(message)
    return data if is_readable else data | _SECRET
