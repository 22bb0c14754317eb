"""The state of the world as Discord's JSON, key by key after its API description. Messages: `message_payload`."""

from __future__ import annotations

from collections.abc import Sequence

from discord_sandbox.clock import timestamp
from discord_sandbox.effective_permissions import compute_channel_permissions, compute_guild_permissions
from discord_sandbox.forum_payload import serialize_tags
from discord_sandbox.guilds import Channel, Guild, Member
from discord_sandbox.json_types import Json
from discord_sandbox.permissions import DIRECT_MESSAGE
from discord_sandbox.snowflake import get_creation_time
from discord_sandbox.users import Role, User
from discord_sandbox.world import World


def serialize_user(user: User) -> Json:
    payload: Json = {
        "id": str(user.id),
        "username": user.username,
        "avatar": None,
        "discriminator": "0000" if user.is_bot else "0",
        "public_flags": 0,
        "flags": 0,
        "global_name": user.global_name,
        "primary_guild": None,
        "banner": None,
        "accent_color": None,
        "avatar_decoration_data": None,
        "collectibles": None,
    }
    if user.is_bot:
        payload["bot"] = True
    return payload


def serialize_bot_user(user: User) -> Json:
    """Return the bot as it sees itself: `GET /users/@me` and READY."""
    return serialize_user(user) | {"mfa_enabled": True, "locale": "en-US", "verified": True, "email": None}


def serialize_ready(
    world: World, guilds: Sequence[Guild], *, session_id: str, shard: tuple[int, int], url: str
) -> Json:
    """Return what READY says. `url`: where the bot connects again to resume."""
    return {
        "v": 10,
        "user": serialize_bot_user(world.bot),
        "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
        "session_id": session_id,
        "resume_gateway_url": url,
        "session_type": "normal",
        "shard": list(shard),
        "application": {"id": str(world.application.id), "flags": 1 << 13 | 1 << 15 | 1 << 19},
        "private_channels": [],
        "presences": [],
        "relationships": [],
        "user_settings": {},
        "geo_ordered_rtc_regions": [],
        "guild_join_requests": [],
        "_trace": ["sandbox"],
    }


def serialize_role(role: Role) -> Json:
    payload: Json = {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(int(role.permissions)),
        "position": role.position,
        "color": role.color,
        "colors": {"primary_color": role.color, "secondary_color": None, "tertiary_color": None},
        "hoist": role.is_hoisted,
        "managed": role.is_managed,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    if role.bot_id is not None:
        payload["tags"] = {"bot_id": str(role.bot_id)}
    return payload


def serialize_bare_member(member: Member) -> Json:
    """Return a member without its user, as a message event carries it beside `author`."""
    return {
        "avatar": None,
        "banner": None,
        "collectibles": None,
        "communication_disabled_until": member.timed_out_until,
        "flags": 0,
        "joined_at": member.joined_at,
        "nick": member.nick,
        "pending": False,
        "premium_since": None,
        "roles": [str(role.id) for role in member.roles],
        "mute": False,
        "deaf": False,
    }


def serialize_member(member: Member) -> Json:
    return serialize_bare_member(member) | {"user": serialize_user(member.user)}


def serialize_overwrites(channel: Channel) -> list[Json]:
    guild = channel.guild
    assert guild is not None
    return [
        {"id": str(target), "type": 0 if target in guild.roles else 1, "allow": str(allow), "deny": str(deny)}
        for target, (allow, deny) in channel.overwrites.items()
    ]


def serialize_channel(channel: Channel) -> Json:
    """Return any channel: a guild's, a thread or a direct message."""
    if channel.is_dm:
        return _serialize_direct_channel(channel)
    if channel.is_group:
        return _serialize_group(channel)
    if channel.is_thread:
        return _serialize_thread(channel) | serialize_tags(channel)
    return _serialize_common_channel(channel) | {
        "topic": channel.topic,
        "parent_id": None,
        "nsfw": channel.nsfw,
        "position": channel.position,
        "permission_overwrites": serialize_overwrites(channel),
        **serialize_tags(channel),
    }


def _serialize_common_channel(channel: Channel) -> Json:
    assert channel.guild is not None
    messages = channel.messages
    return {
        "id": str(channel.id),
        "type": channel.type,
        "guild_id": str(channel.guild.id),
        "name": channel.name,
        "last_message_id": str(messages[-1].id) if messages else None,
        "flags": 0,
        "rate_limit_per_user": 0,
    }


def _serialize_direct_channel(channel: Channel) -> Json:
    assert channel.recipient is not None
    messages = channel.messages
    return {
        "id": str(channel.id),
        "type": channel.type,
        "last_message_id": str(messages[-1].id) if messages else None,
        "flags": 0,
        "recipients": [serialize_user(channel.recipient)],
    }


def _serialize_group(channel: Channel) -> Json:
    messages = channel.messages
    return {
        "id": str(channel.id),
        "type": channel.type,
        "name": channel.name,
        "icon": None,
        "last_message_id": str(messages[-1].id) if messages else None,
        "flags": 0,
        "owner_id": str(channel.recipients[0].id),
        "recipients": [serialize_user(user) for user in channel.recipients],
    }


def _serialize_thread(channel: Channel) -> Json:
    assert channel.guild is not None and channel.parent is not None
    num_messages = len(channel.messages)
    return _serialize_common_channel(channel) | {
        "parent_id": str(channel.parent.id),
        "owner_id": str(channel.owner_id or channel.guild.owner_id),
        "message_count": num_messages,
        "total_message_sent": num_messages,
        "member_count": 1,
        "thread_metadata": {
            "archived": channel.is_archived,
            "archive_timestamp": timestamp(get_creation_time(channel.id)),
            "auto_archive_duration": 1440,
            "locked": channel.is_locked,
            "create_timestamp": timestamp(get_creation_time(channel.id)),
        },
    }


def serialize_interaction_channel(channel: Channel, member: Member | None) -> Json:
    """Return a channel as interactions carry it, with the permissions of the invoking member."""
    bits = compute_channel_permissions(member, channel) if member else int(DIRECT_MESSAGE)
    payload = serialize_channel(channel)
    payload.pop("permission_overwrites", None)
    return payload | {"permissions": str(bits)}


def serialize_guild(guild: Guild) -> Json:
    """Return a guild as `GET /guilds/{guild.id}` gives it."""
    empty = (
        "icon description home_header splash discovery_splash banner application_id afk_channel_id "
        "widget_channel_id vanity_url_code rules_channel_id safety_alerts_channel_id "
        "public_updates_channel_id max_presences incidents_data"
    )
    zero = (
        "system_channel_flags verification_level default_message_notifications mfa_level "
        "explicit_content_filter premium_tier premium_subscription_count nsfw_level"
    )
    return (
        dict.fromkeys(empty.split())
        | dict.fromkeys(zero.split(), 0)
        | {
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.owner_id),
            "system_channel_id": str(guild.system_channel.id) if guild.system_channel else None,
            "features": [],
            "region": "deprecated",
            "afk_timeout": 300,
            "widget_enabled": False,
            "max_members": 500_000,
            "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25,
            "preferred_locale": guild.locale,
            "premium_progress_bar_enabled": False,
            "nsfw": False,
            "roles": [serialize_role(role) for role in guild.roles.values()],
            "emojis": [],
            "stickers": [],
        }
    )


def serialize_guild_create(guild: Guild, *, with_members: bool) -> Json:
    """Return a guild as GUILD_CREATE gives it; without the members intent only the bot itself is in it."""
    members = list(guild.members.values()) if with_members else [guild.bot_member]
    channels = list(guild.channels.values())
    return serialize_guild(guild) | {
        "joined_at": guild.bot_member.joined_at,
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "members": [serialize_member(member) for member in members],
        "channels": [serialize_channel(c) for c in channels if not c.is_thread],
        "threads": [serialize_channel(c) for c in channels if c.is_thread],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def serialize_own_guild(guild: Guild) -> Json:
    """Return one line of `GET /users/@me/guilds`."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "banner": None,
        "owner": guild.owner_id == guild.world.bot.id,
        "permissions": str(compute_guild_permissions(guild.bot_member)),
        "features": [],
        "approximate_member_count": len(guild.members),
        "approximate_presence_count": len(guild.members),
    }


def serialize_application(world: World) -> Json:
    """Return the answer to `GET /oauth2/applications/@me`."""
    application = world.application
    return {
        "id": str(application.id),
        "name": application.name,
        "icon": None,
        "description": "",
        "type": None,
        "verify_key": "0" * 64,
        "flags": 1 << 13 | 1 << 15 | 1 << 19,  # the "limited" forms of the three privileged intents
        "flags_new": str(1 << 13 | 1 << 15 | 1 << 19),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": serialize_user(world.owner),
        "approximate_guild_count": sum(guild.has_bot for guild in world.guilds.values()),
        "approximate_user_install_count": len(application.installed_by_users),
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["applications.commands", "bot"],
        "bot": serialize_user(world.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
    }
