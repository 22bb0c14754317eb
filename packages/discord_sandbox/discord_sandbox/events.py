"""Changes of the world as gateway events, with the content that the bot may read."""

from __future__ import annotations

from discord_sandbox.effective_permissions import compute_channel_permissions
from discord_sandbox.file_store import FileStore
from discord_sandbox.gateway import Gateway
from discord_sandbox.gateway_session import PerSession, Session
from discord_sandbox.guilds import Channel, Guild, Message
from discord_sandbox.intents import MESSAGE_CONTENT
from discord_sandbox.json_types import Json
from discord_sandbox.message_payload import hide_content, serialize_event_message
from discord_sandbox.payloads import serialize_channel, serialize_member, serialize_role
from discord_sandbox.permissions import Permission
from discord_sandbox.world import Change, World


class EventDispatcher:
    """Listens to the world and speaks on the gateway."""

    def __init__(self, world: World, gateway: Gateway, files: FileStore) -> None:
        self._world = world
        self._gateway = gateway
        self._files = files
        world.subscribe(self.on_change)

    def on_change(self, change: Change) -> None:
        if change.guild is not None and not change.guild.has_bot and change.kind != "guild_delete":
            return
        if change.channel is not None and not change.channel.has_bot and change.kind != "channel_delete":
            return
        topic = change.kind.partition("_")[0]
        if topic == "message" and change.message is not None:
            self._send_message_event(change, change.message)
        elif topic == "channel" and change.channel is not None:
            self._send_channel_event(change, change.channel)
        elif topic in ("guild", "role", "member"):
            self._send_guild_event(change)
        elif change.kind == "typing" and change.channel is not None and change.user is not None:
            self._send_typing_event(change, change.channel)

    def _send(self, event: str, data: Json | PerSession, change: Change) -> None:
        self._gateway.dispatch(event, data, change.guild.id if change.guild else None)

    def _send_message_event(self, change: Change, message: Message) -> None:
        if message.is_ephemeral or not self._can_bot_see(message.channel):
            return
        if change.kind == "message_delete":
            data: Json = {"id": str(message.id), "channel_id": str(message.channel.id)}
            if change.guild is not None:
                data["guild_id"] = str(change.guild.id)
            self._send("MESSAGE_DELETE", data, change)
            return
        whole = serialize_event_message(message, self._files.sign)
        event = "MESSAGE_CREATE" if change.kind == "message_create" else "MESSAGE_UPDATE"
        self._send(event, lambda session: self._hide_content(whole, session, message), change)

    def _hide_content(self, data: Json, session: Session, message: Message) -> Json:
        """Hide the content from a session without the intent."""
        return data if session.intents & MESSAGE_CONTENT else hide_content(data, message, self._world.bot)

    def _can_bot_see(self, channel: Channel) -> bool:
        if channel.guild is None:
            return True
        return bool(compute_channel_permissions(channel.guild.bot_member, channel) & Permission.VIEW_CHANNEL)

    def _send_channel_event(self, change: Change, channel: Channel) -> None:
        if channel.guild is None:
            return
        verb = change.kind.removeprefix("channel_").upper()
        # A bot is told of channels that it may not see, too, but not of the threads in them.
        if verb == "DELETE" or not channel.is_thread or self._can_bot_see(channel):
            noun = "THREAD" if channel.is_thread else "CHANNEL"
            self._send(
                f"{noun}_{verb}", _thread(channel, verb) if channel.is_thread else serialize_channel(channel), change
            )

    def _send_guild_event(self, change: Change) -> None:
        guild = change.guild
        assert guild is not None
        at = {"guild_id": str(guild.id)}
        if change.kind == "guild_create":
            if guild.has_bot:
                self._send("GUILD_CREATE", lambda session: self._build_guild_create(guild, session), change)
        elif change.kind == "guild_delete":
            self._send("GUILD_DELETE", {"id": str(guild.id)}, change)
        elif change.role is not None:
            verb = change.kind.removeprefix("role_").upper()
            role: Json = {"role_id": str(change.role.id)} if verb == "DELETE" else {"role": serialize_role(change.role)}
            self._send(f"GUILD_ROLE_{verb}", at | role, change)
        elif change.member is not None:
            verb = change.kind.removeprefix("member_").upper()
            data = serialize_member(change.member)
            if verb == "REMOVE":
                data = {"user": data["user"]}
            self._send(f"GUILD_MEMBER_{verb}", at | data, change)

    def _build_guild_create(self, guild: Guild, session: Session) -> Json:
        """Return GUILD_CREATE without `unavailable`, which only guilds named in READY have."""
        data = self._gateway.build_guild_create(guild, session)
        return {key: value for key, value in data.items() if key != "unavailable"}

    def _send_typing_event(self, change: Change, channel: Channel) -> None:
        assert change.user is not None
        data: Json = {
            "channel_id": str(channel.id),
            "user_id": str(change.user.id),
            "timestamp": int(self._world.clock.now()),
        }
        if change.guild is not None:
            data["guild_id"] = str(change.guild.id)
            if (member := change.guild.members.get(change.user.id)) is not None:
                data["member"] = serialize_member(member)
        self._send("TYPING_START", data, change)


def _thread(thread: Channel, verb: str) -> Json:
    """Return a thread as its event carries it: the whole, or only its ids once it is deleted."""
    whole = serialize_channel(thread)
    if verb == "DELETE":
        return {key: whole[key] for key in ("id", "guild_id", "parent_id", "type")}
    return whole | {"newly_created": True} if verb == "CREATE" else whole
