"""The state of the world as the page shows it to one user."""

from __future__ import annotations

from typing import Any

from discord_sandbox.command_rules import CHAT_INPUT
from discord_sandbox.effective_permissions import compute_channel_permissions
from discord_sandbox.file_store import FileStore
from discord_sandbox.guilds import Channel, Guild, Member, Message
from discord_sandbox.interaction_payload import compute_bot_permissions
from discord_sandbox.interactions import Interaction
from discord_sandbox.journal import GatewayEvent, RestCall, redact
from discord_sandbox.json_types import Json
from discord_sandbox.load_generator import NAME
from discord_sandbox.message_payload import serialize_message
from discord_sandbox.permissions import Permission, may_send
from discord_sandbox.users import User
from discord_sandbox.world import World


def build_person_view(user: User) -> Json:
    return {
        "id": str(user.id),
        "name": user.display_name,
        "username": user.username,
        "bot": user.is_bot,
        "avatar": f"/cdn/people/{user.id}.svg",
    }


def build_member_view(member: Member) -> Json:
    colored = [role for role in member.roles if role.color]
    top = max(colored, key=lambda role: role.position, default=None)
    return build_person_view(member.user) | {
        "name": member.display_name,
        "color": f"#{top.color:06x}" if top else None,
        "group": top.name if top and top.is_hoisted else None,
        "owner": member.guild.owner_id == member.id,
        "roles": [str(role.id) for role in member.roles],
    }


def build_channel_view(channel: Channel, member: Member | None) -> Json:
    """Return a channel, and what `member` may do there (None for direct messages)."""
    bits = compute_channel_permissions(member, channel) if member else -1
    return {
        "id": str(channel.id),
        "name": channel.name,
        "type": channel.type,
        "nsfw": channel.nsfw,
        "topic": channel.topic,
        "tags": list(channel.tags.values()),
        "parent": str(channel.parent.id) if channel.parent else None,
        "canSend": may_send(bits, is_thread=channel.is_thread) and not channel.is_forum,
        "botCanSend": may_send(compute_bot_permissions(channel), is_thread=channel.is_thread),
        "canManage": bool(bits & Permission.MANAGE_MESSAGES) and member is not None,
    }


def build_guild_view(guild: Guild, member: Member) -> Json:
    """Return a guild with the channels that `member` can see."""
    visible = [c for c in guild.channels.values() if compute_channel_permissions(member, c) & Permission.VIEW_CHANNEL]
    return {
        "id": str(guild.id),
        "name": guild.name,
        "hasBot": guild.has_bot,
        "channels": [build_channel_view(c, member) for c in visible],
        "members": [build_member_view(m) for m in guild.members.values()],
        "roles": [
            {"id": str(r.id), "name": r.name, "color": f"#{r.color:06x}" if r.color else None}
            for r in guild.roles.values()
        ],
    }


def build_world_view(world: World, you: User, *, is_connected: bool) -> Json:
    """Return all that `you` can see except messages."""
    mine = [(g, g.members[you.id]) for g in world.guilds.values() if you.id in g.members]
    direct = build_channel_view(world.open_direct_channel(you), None) | {"name": world.bot.display_name}
    groups = [c for c in world.channels.values() if you in c.recipients]
    people = [u for u in world.users.values() if is_playable(world, u)]
    return {
        "you": build_person_view(you),
        "bot": build_person_view(world.bot) | {"connected": is_connected, "presence": world.application.presence},
        "people": [build_person_view(user) | {"about": describe_user(world, user)} for user in people],
        "guilds": [build_guild_view(guild, member) for guild, member in mine],
        "direct": direct,
        "groups": [build_channel_view(channel, None) for channel in groups],
        "hasApp": you.id in world.application.installed_by_users,
        "firstCommand": world.application.first_command,
        "webPages": [{"name": name, "url": url} for name, url in world.application.web_pages.items()],
    }


def is_playable(world: World, user: User) -> bool:
    """Return whether the page may act as this user: not the bot, nor a user of the load generator."""
    return not user.is_bot and user is not world.owner and not user.username.startswith(f"{NAME.lower()}-")


def is_made_up(guild: Guild) -> bool:
    return guild.name.startswith(NAME)


def describe_user(world: World, user: User) -> str:
    """Describe a user in a few words: "owner of Harbour", "Moderator in Harbour"."""
    parts = []
    for guild in world.guilds.values():
        member = guild.members.get(user.id)
        if member is None or is_made_up(guild):
            continue
        top = max((role for role in member.roles if role.color), key=lambda r: r.position, default=None)
        if guild.owner_id == user.id:
            parts.append(f"owner of {guild.name}")
        else:
            parts.append(f"{top.name.lower() if top else 'member'} in {guild.name}")
    return ", ".join(parts) or "in no server"


def build_message_view(message: Message, files: FileStore) -> Json:
    """Return a message as the client draws it: Discord's JSON, and the command that caused it."""
    # A link that leads nowhere is marked: the page shows that instead of asking for it.
    payload = serialize_message(message, lambda url: f"{url}?gone" if files.is_gone(url) else files.sign(url))
    payload["deleted"] = message.is_deleted
    interaction = message.interaction
    if interaction is not None and interaction.command_name is not None:
        is_slash = interaction.data.get("type", CHAT_INPUT) == CHAT_INPUT
        used = {"name": interaction.command_name, "isSlash": is_slash, "user": build_person_view(interaction.user)}
        payload["command"] = used
    return payload


def build_outcome_view(interaction: Interaction) -> Json:
    """Return how the bot answered an interaction, with its modal or choices."""
    return {
        "interaction": str(interaction.id),
        "failed": interaction.failed,
        "ackMs": interaction.ack_ms,
        "modal": interaction.modal,
        "choices": interaction.choices,
    }


def build_entry_view(entry: RestCall | GatewayEvent) -> Json:
    """Return a line of the inspector."""
    shared: Json = {"number": entry.number, "at": entry.at_s}
    if isinstance(entry, GatewayEvent):
        name = entry.name or _OP_NAMES.get(entry.op, f"op {entry.op}")
        return shared | {"kind": "gateway", "sent": entry.is_sent, "name": name, "data": redact(entry.data)}
    return shared | {
        "kind": "rest",
        "method": entry.method,
        "path": _shorten_path(entry),
        "status": entry.status,
        "ms": round(entry.ms, 2),
        "fault": entry.fault,
        "files": entry.num_files,
        "request": redact(entry.request),
        "response": redact(entry.response),
        "limit": entry.rate_limit,
        "violations": [str(violation) for violation in entry.violations],
    }


def _shorten_path(entry: RestCall) -> Any:
    """Return the path without an interaction's token, which is a secret and long."""
    return "/".join(part if len(part) < 60 else "…" for part in entry.path.split("/"))


_OP_NAMES = {
    1: "heartbeat",
    2: "identify",
    3: "presence",
    6: "resume",
    7: "reconnect",
    8: "request members",
    9: "invalid session",
    10: "hello",
    11: "heartbeat ack",
}
