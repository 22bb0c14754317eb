"""The whole state of this Discord, and one place to subscribe to its changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from discord_sandbox.clock import Clock
from discord_sandbox.guilds import DIRECT, GROUP, Channel, Guild, Member, Message
from discord_sandbox.users import Role, User
from discord_sandbox.world_state import WorldState


@dataclass(frozen=True)
class Change:
    """A change of the world. `kind` is one of message_*, channel_*, role_*, member_*, guild_*, typing, ..."""

    kind: str
    guild: Guild | None = None
    channel: Channel | None = None
    message: Message | None = None
    member: Member | None = None
    role: Role | None = None
    user: User | None = None


class World(WorldState):
    """The state of Discord. Change it through methods: they publish the change to the gateway, the page and waiters."""

    def __init__(self, clock: Clock, bot_name: str) -> None:
        super().__init__(clock, bot_name)
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._direct: dict[int, Channel] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` on every change, in order, and return a function that unsubscribes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, kind: str, **subjects: object) -> None:
        """Tell every listener and wake every waiter; `subjects` are the fields of `Change`."""
        change = Change(kind, **cast("dict[str, Any]", subjects))
        self._index_channel(change)
        for listener in list(self._listeners):
            listener(change)
        self.wake()

    def _index_channel(self, change: Change) -> None:
        """Keep `channels` in step with the guilds, which make and delete their own."""
        if change.kind == "channel_create" and change.channel is not None:
            self.channels[change.channel.id] = change.channel
        elif change.kind == "channel_delete" and change.channel is not None:
            self.channels.pop(change.channel.id, None)

    def add_guild(self, name: str, *, owner: User | None = None, has_bot: bool = True) -> Guild:
        """Add a guild, which the bot joins (GUILD_CREATE) unless `has_bot` is false."""
        guild = Guild(self, self._snowflakes.make_id_apart(), name, owner or self.owner, has_bot=has_bot)
        self.guilds[guild.id] = guild
        guild.members[guild.owner_id] = Member(guild, owner or self.owner, joined_at=self.clock.timestamp())
        if has_bot:
            guild.join_bot()
        self.publish("guild_create", guild=guild)
        return guild

    def open_direct_channel(self, user: User) -> Channel:
        """Return the direct messages between `user` and the bot, opened if need be."""
        channel = self._direct.get(user.id)
        if channel is None:
            channel = Channel(self, self.make_id(), DIRECT, user.username)
            channel.recipient = user
            self._direct[user.id] = channel
            self.channels[channel.id] = channel
            self.publish("dm_open", channel=channel, user=user)
        return channel

    def add_group(self, name: str, *users: User) -> Channel:
        """Add a group of these users, in which the bot is not; who installed it for themselves may use it there."""
        channel = Channel(self, self.make_id(), GROUP, name)
        channel.recipients = list(users)
        self.channels[channel.id] = channel
        self.publish("group_create", channel=channel)
        return channel

    def install_for(self, user: User, *, is_installed: bool = True) -> None:
        """Let a user have the bot's commands everywhere, or take them away again."""
        installed = self.application.installed_by_users
        (installed.add if is_installed else installed.discard)(user.id)
        self.publish("commands", user=user)
