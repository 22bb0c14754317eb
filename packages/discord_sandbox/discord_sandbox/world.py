"""Everything that exists on this Discord, and one place to hear when any of it changes."""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from discord_sandbox.clock import Clock
from discord_sandbox.message import Message
from discord_sandbox.people import Member, Role, User
from discord_sandbox.places import DIRECT, Channel, Guild
from discord_sandbox.snowflake import Snowflakes

T = TypeVar("T")


# The first ids are of this moment (2 January 2024), so that a bot which keeps its database finds the same
# people, servers and channels when a seeded sandbox is started again.
FOUNDED_S = 1_704_153_600.0


@dataclass(frozen=True)
class Change:
    """Something happened. `kind` is one of message_*, channel_*, role_*, member_*, guild_*, typing, ..."""

    kind: str
    guild: Guild | None = None
    channel: Channel | None = None
    message: Message | None = None
    member: Member | None = None
    role: Role | None = None
    user: User | None = None


class Application:
    """The one application, its bot user and its secret."""

    def __init__(self, application_id: int, name: str) -> None:
        self.id = application_id
        self.name = name
        self.bot = User(application_id, name, is_bot=True)
        head = urlsafe_b64encode(str(application_id).encode()).decode().rstrip("=")
        self.token = f"{head}.{secrets.token_urlsafe(4)[:6]}.{secrets.token_urlsafe(28)[:38]}"
        # Members, presences and message content are privileged: ask for what is not here and be closed with 4014.
        self.privileged_intents = 1 << 1 | 1 << 8 | 1 << 15
        self.installed_by_users: set[int] = set()


class World:
    """The state of Discord. Change it through methods: they publish, so gateway, page and waiters hear."""

    def __init__(self, clock: Clock, bot_name: str) -> None:
        self.clock = clock
        self._snowflakes = Snowflakes(lambda: FOUNDED_S)
        self.application = Application(self.new_id(), bot_name)
        self.bot = self.application.bot
        self.owner = User(self.new_id(), "founder")
        self.users: dict[int, User] = {self.bot.id: self.bot, self.owner.id: self.owner}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._direct: dict[int, Channel] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._wake: asyncio.Event = asyncio.Event()

    def begin(self) -> None:
        """From here on ids tell the time. What was made before has the same ids in every run."""
        self._snowflakes = Snowflakes(self.clock.now)

    def new_id(self) -> int:
        return self._snowflakes.next()

    # -- who is told ---------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` on every change, in order; the answer unsubscribes."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(
        self,
        kind: str,
        *,
        guild: Guild | None = None,
        channel: Channel | None = None,
        message: Message | None = None,
        member: Member | None = None,
        role: Role | None = None,
        user: User | None = None,
    ) -> None:
        """Tell every listener and wake every waiter."""
        change = Change(kind, guild, channel, message, member, role, user)
        for listener in list(self._listeners):
            listener(change)
        self.wake()

    def wake(self) -> None:
        """Make every waiter look at its predicate again."""
        self._wake.set()
        self._wake = asyncio.Event()

    async def wait_for(self, predicate: Callable[[], T], *, timeout_s: float) -> T:
        """The first true value of `predicate`, asked again after every change.

        Raises TimeoutError after `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                wake = self._wake
                if value := predicate():
                    return value
                await wake.wait()

    # -- making things -------------------------------------------------------------------------------

    def add_user(self, name: str, *, global_name: str | None = None) -> User:
        user = User(self.new_id(), name, global_name)
        self.users[user.id] = user
        self.publish("user_create", user=user)
        return user

    def user_named(self, name: str) -> User:
        """The person of that user name, made when there is none yet."""
        for user in self.users.values():
            if user.username == name and not user.is_bot:
                return user
        return self.add_user(name)

    def add_guild(self, name: str, *, owner: User | None = None, has_bot: bool = True) -> Guild:
        """A guild, which the bot joins (GUILD_CREATE) unless `has_bot` is false."""
        guild = Guild(self, self._snowflakes.next_apart(), name, owner or self.owner, has_bot=has_bot)
        self.guilds[guild.id] = guild
        guild.members[guild.owner_id] = Member(guild, owner or self.owner, joined_at=self.clock.timestamp())
        if has_bot:
            self._join_bot(guild)
        self.publish("guild_create", guild=guild)
        return guild

    def _join_bot(self, guild: Guild) -> None:
        role = Role(self.new_id(), self.bot.username, int(guild.everyone.permissions), is_managed=True)
        role.bot_id = self.bot.id
        guild.roles[role.id] = role
        guild.members[self.bot.id] = Member(guild, self.bot, [role], joined_at=self.clock.timestamp())

    def add_bot(self, guild: Guild) -> None:
        """Invite the bot to a guild that does not have it; it hears GUILD_CREATE."""
        guild.has_bot = True
        self._join_bot(guild)
        self.publish("guild_create", guild=guild)

    def remove_bot(self, guild: Guild) -> None:
        guild.has_bot = False
        guild.members.pop(self.bot.id, None)
        guild.roles = {key: role for key, role in guild.roles.items() if role.bot_id != self.bot.id}
        self.publish("guild_delete", guild=guild)

    def direct_channel(self, user: User) -> Channel:
        """The direct messages between `user` and the bot."""
        channel = self._direct.get(user.id)
        if channel is None:
            channel = Channel(self, self.new_id(), DIRECT, user.username)
            channel.recipient = user
            self._direct[user.id] = channel
            self.channels[channel.id] = channel
            self.publish("dm_open", channel=channel, user=user)
        return channel

    def delete_channel(self, channel: Channel) -> None:
        for other in list(self.channels.values()):
            if other.parent is channel:
                self.delete_channel(other)
        channel.is_deleted = True
        self.channels.pop(channel.id, None)
        if channel.guild is not None:
            channel.guild.channels.pop(channel.id, None)
        self.publish("channel_delete", guild=channel.guild, channel=channel)
