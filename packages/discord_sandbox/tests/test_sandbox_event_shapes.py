"""Every event the gateway sends has the shape that Discord documents, and all that discord.py reads of it.

Source of the keys: https://discord.com/developers/docs/events/gateway-events
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from discord.state import ConnectionState
from raw_bot import RawBot, raw_bot

import discord_sandbox.intents
from discord_sandbox import Permission, Sandbox, Upload
from discord_sandbox.guilds import Message
from discord_sandbox.intents import KNOWN
from discord_sandbox.openapi_validator import OpenApiDescription, _load

MEMBER = {"user", "roles", "joined_at", "nick", "avatar", "flags", "pending"}
MESSAGE = {
    "id",
    "channel_id",
    "author",
    "content",
    "timestamp",
    "edited_timestamp",
    "tts",
    "mention_everyone",
    "mentions",
    "mention_roles",
    "attachments",
    "embeds",
    "components",
    "pinned",
    "type",
    "flags",
    "guild_id",
    "member",
}
CHANNEL = {"id", "type", "guild_id", "name", "position", "permission_overwrites", "parent_id", "nsfw", "flags"}
THREAD = {"id", "type", "guild_id", "parent_id", "owner_id", "name", "thread_metadata", "message_count", "member_count"}
GUILD = {
    "id",
    "name",
    "owner_id",
    "roles",
    "emojis",
    "features",
    "joined_at",
    "large",
    "member_count",
    "members",
    "channels",
    "threads",
    "voice_states",
    "presences",
    "stage_instances",
    "guild_scheduled_events",
    "soundboard_sounds",
}
DOCUMENTED = {
    "READY": {"v", "user", "guilds", "session_id", "resume_gateway_url", "shard", "application"},
    "RESUMED": set[str](),
    "GUILD_CREATE": GUILD,
    "GUILD_DELETE": {"id"},
    "GUILD_ROLE_CREATE": {"guild_id", "role"},
    "GUILD_ROLE_UPDATE": {"guild_id", "role"},
    "GUILD_ROLE_DELETE": {"guild_id", "role_id"},
    "GUILD_MEMBER_ADD": MEMBER | {"guild_id"},
    "GUILD_MEMBER_UPDATE": MEMBER | {"guild_id"},
    "GUILD_MEMBER_REMOVE": {"guild_id", "user"},
    "GUILD_MEMBERS_CHUNK": {"guild_id", "members", "chunk_index", "chunk_count", "not_found", "nonce"},
    "CHANNEL_CREATE": CHANNEL,
    "CHANNEL_UPDATE": CHANNEL,
    "CHANNEL_DELETE": CHANNEL,
    "THREAD_CREATE": THREAD | {"newly_created"},
    "THREAD_UPDATE": THREAD,
    "THREAD_DELETE": {"id", "guild_id", "parent_id", "type"},
    "MESSAGE_CREATE": MESSAGE,
    "MESSAGE_UPDATE": MESSAGE,
    "MESSAGE_DELETE": {"id", "channel_id", "guild_id"},
    "TYPING_START": {"channel_id", "guild_id", "user_id", "timestamp", "member"},
    "INTERACTION_CREATE": {
        "id",
        "application_id",
        "type",
        "data",
        "guild",
        "guild_id",
        "channel",
        "channel_id",
        "member",
        "token",
        "version",
        "app_permissions",
        "locale",
        "guild_locale",
        "entitlements",
        "authorizing_integration_owners",
        "context",
        "attachment_size_limit",
    },
}
"""The keys of each event in a guild, without those that Discord documents as optional and has no reason to send."""
BARE = {"GUILD_DELETE", "GUILD_ROLE_DELETE", "GUILD_MEMBER_REMOVE", "THREAD_DELETE", "MESSAGE_DELETE"}
"""Events that only name what is gone: Discord sends no other key."""
NEVER = {"GUILD_UPDATE", "MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"}
"""The gateway knows which intents they need, and nothing here makes one."""
CAUGHT = {"MESSAGE_UPDATE": {"interaction"}}
"""Keys that discord.py tries and does without."""
SCHEMAS: dict[str, dict[str, str]] = {
    "READY": {"user": "UserResponse"},
    "GUILD_CREATE": {"": "GuildResponse", "roles": "GuildRoleResponse", "channels": "GuildChannelResponse"}
    | {"members": "GuildMemberResponse", "threads": "ThreadResponse"},
    "GUILD_ROLE_CREATE": {"role": "GuildRoleResponse"},
    "GUILD_ROLE_UPDATE": {"role": "GuildRoleResponse"},
    "GUILD_MEMBER_ADD": {"": "GuildMemberResponse"},
    "GUILD_MEMBER_UPDATE": {"": "GuildMemberResponse"},
    "GUILD_MEMBER_REMOVE": {"user": "UserResponse"},
    "GUILD_MEMBERS_CHUNK": {"members": "GuildMemberResponse"},
    "CHANNEL_CREATE": {"": "GuildChannelResponse"},
    "CHANNEL_UPDATE": {"": "GuildChannelResponse"},
    "CHANNEL_DELETE": {"": "GuildChannelResponse"},
    "THREAD_CREATE": {"": "ThreadResponse"},
    "THREAD_UPDATE": {"": "ThreadResponse"},
    "MESSAGE_CREATE": {"": "MessageResponse", "mentions": "UserResponse"},
    "MESSAGE_UPDATE": {"": "MessageResponse"},
    "TYPING_START": {"member": "GuildMemberResponse"},
}


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox(ack_deadline_s=0.05) as server:
        yield server


async def everything_happens(server: Sandbox, bot: RawBot) -> dict[str, list[Any]]:
    """Let each thing happen that the gateway tells of; return the events, by name."""
    guild = server.add_guild("Guild")
    general = guild.add_channel("general")
    general.add_thread("an old thread")
    await bot.connect()
    ready = await bot.identify(intents=KNOWN)
    ada = server.act_as(guild.add_member("ada", permissions=int(Permission.MANAGE_GUILD)), general)
    ada.member.add_role(guild.add_role("tester"))  # type: ignore[union-attr]
    role = guild.add_role("gone")
    guild.set_permissions(role, 8)
    guild.remove_role(role)
    channel = guild.add_channel("gone")
    channel.set_nsfw(True)
    thread = channel.add_thread("thread")
    server.world.publish("channel_update", guild=guild, channel=thread)
    server.world.publish("typing", guild=guild, channel=general, user=ada.user)
    said = ada.say(f"hello {ada.user.mention}", files=[Upload("a.txt", b"a")])
    server.act_as(guild.add_member("bo"), general).forward(said)
    server.world.publish("message_update", guild=guild, channel=general, message=said)
    await ada.forging.click(said, "nothing")
    forget(server, said)
    channel.delete()
    guild.remove_member(guild.members[ada.user.id])
    await bot.send(8, {"guild_id": str(guild.id), "query": "", "limit": 0, "nonce": "n"})
    await bot.event("GUILD_MEMBERS_CHUNK")
    guild.kick_bot()
    await bot.event("GUILD_DELETE")
    await bot.connect()
    await bot.send(6, {"token": server.token, "session_id": ready["session_id"], "seq": 1})
    await bot.event("RESUMED")
    heard: dict[str, list[Any]] = {}
    for event in server.journal.events:
        if event.is_sent and event.name is not None:
            heard.setdefault(event.name, []).append(event.data)
    return heard


def forget(server: Sandbox, message: Message) -> None:
    message.channel.drop(message)
    server.world.publish("message_delete", guild=message.channel.guild, channel=message.channel, message=message)


@pytest.fixture
async def heard(server: Sandbox) -> dict[str, list[Any]]:
    async with raw_bot(server) as bot:
        return await everything_happens(server, bot)


async def test_every_event_has_the_keys_that_discord_documents(heard: dict[str, list[Any]]) -> None:
    assert set(heard) == set(DOCUMENTED), "each event there is happened"
    wrong = [
        f"{name}: no {sorted(keys - set(data))}"
        for name, keys in DOCUMENTED.items()
        for data in heard[name]
        if not keys <= set(data)
    ]
    wrong += [
        f"{name}: also {sorted(set(data) - DOCUMENTED[name])}"
        for name in BARE
        for data in heard[name]
        if set(data) - DOCUMENTED[name]
    ]
    assert not wrong


def test_no_event_is_forgotten_above() -> None:
    """What the code names as an event is in the table, or is never sent."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(discord_sandbox.__file__).parent.rglob("*.py"))
    named = set(
        re.findall(
            r'"((?:GUILD|CHANNEL|THREAD|MESSAGE|TYPING|INTERACTION)_[A-Z_]*(?:CREATE|UPDATE|DELETE|ADD|REMOVE|START|CHUNK))"',
            source,
        )
    )
    assert named - set(DOCUMENTED) == NEVER
    assert set(discord_sandbox.intents._NEEDED) - NEVER <= set(DOCUMENTED)


async def test_all_that_discord_py_reads_is_there(heard: dict[str, list[Any]]) -> None:
    wrong = []
    for name, every in heard.items():
        parser = getattr(ConnectionState, f"parse_{name.lower()}", None)
        source = inspect.getsource(parser) if parser else ""
        read = set(re.findall(r"\bdata\['(\w+)'\]", source)) - CAUGHT.get(name, set())
        wrong += [f"{name}: no {sorted(read - set(data))}" for data in every if read - set(data)]
    assert not wrong


@pytest.mark.skipif("DISCORD_OPENAPI" not in os.environ, reason="no description of Discord's API (DISCORD_OPENAPI)")
async def test_event_payloads_match_discords_description(heard: dict[str, list[Any]]) -> None:
    description = _load(Path(os.environ["DISCORD_OPENAPI"]))
    wrong = [
        f"{name}.{key}: {error}"
        for name, parts in SCHEMAS.items()
        for data in heard[name]
        for key, schema in parts.items()
        for error in errors(description, schema, data[key] if key else data)
    ]
    assert not wrong, "\n".join(wrong)


def errors(description: OpenApiDescription, schema: str, value: Any) -> list[str]:
    pointer = ("components", "schemas", schema)
    every = value if isinstance(value, list) else [value]
    wrong = [one for one in every if not description.is_valid("response", pointer, one)]
    validator = description.get_validator("response", pointer)
    return [f"{list(each.path)} {each.message[:200]}" for one in wrong for each in validator.iter_errors(one)]
