"""Guilds, members, channels and messages: they refer to each other, so they are one module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from discord_sandbox.json_types import Json
from discord_sandbox.message_content import MessageContent
from discord_sandbox.permissions import EVERYONE, Permission
from discord_sandbox.users import Role, User
from discord_sandbox.world_state import WorldState

# https://discord.com/developers/docs/resources/channel#channel-object-channel-types
TEXT = 0
DIRECT = 1
GROUP = 3
PUBLIC_THREAD = 11
FORUM, MEDIA = 15, 16


@dataclass(eq=False, repr=False, kw_only=True)
class InteractionMetadata:
    """What a message tells of the interaction that it answers. `data` is what Discord sent to the bot."""

    id: int
    type: int
    user: User
    data: Json
    command_name: str | None = None
    source_message: Message | None = None
    opened_by: InteractionMetadata | None = None
    integration_owners: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Message(MessageContent):
    """A message as it stands now: edits change it in place and `revisions` counts them."""

    id: int
    channel: Channel
    author: User
    type: int
    timestamp: str
    allowed_mentions: Json | None = None
    edited_timestamp: str | None = None
    nonce: str | int | None = None
    tts: bool = False
    interaction: InteractionMetadata | None = None
    visible_to: int | None = None
    reference: Message | None = None
    forwarded: Message | None = None
    snapshot: Json | None = None
    """What `forwarded` looked like when it was forwarded, its links not signed."""
    reactions: dict[str, list[int]] = field(default_factory=dict)
    is_pinned: bool = False
    is_deleted: bool = False
    revisions: int = 0

    def __repr__(self) -> str:
        """Show what a failing test needs: the author, the channel and the text."""
        labels = [button.get("label") or button.get("custom_id") for button in self.buttons]
        files = [item.filename for item in self.attachments]
        state = "deleted " * self.is_deleted + "ephemeral " * self.is_ephemeral + "thinking " * self.is_loading
        said = f"{self.text[:200]!r} files={files} buttons={labels}"
        return f"<Message {state}by {self.author.username} in #{self.channel.name}: {said}>"


class Channel:
    """A text channel, a thread or a direct message, with what was written in it."""

    def __init__(
        self, world: WorldState, channel_id: int, channel_type: int, name: str, *, guild: Guild | None = None
    ) -> None:
        self.world = world
        self.id = channel_id
        self.type = channel_type
        self.name = name
        self.guild = guild
        self.parent: Channel | None = None
        self.recipient: User | None = None
        self.recipients: list[User] = []  # of a group; the bot never is
        self.topic: str | None = None
        self.position = 0
        self.overwrites: dict[int, tuple[int, int]] = {}
        self.typing_until: dict[int, float] = {}
        self.is_deleted = False
        self.is_archived = False
        self.is_locked = False
        self.tags: dict[int, str] = {}
        """Of a forum: those that its posts may have, by their ids; of a post: those that it has."""
        self.requires_tag = False
        self.owner_id: int | None = None
        self._is_nsfw = False
        self._messages: dict[int, Message] = {}
        self._everything: list[Message] = []

    def __repr__(self) -> str:
        return f"<Channel #{self.name}>"

    @property
    def nsfw(self) -> bool:
        """Age-restricted; a thread is what its parent is."""
        return self.parent.nsfw if self.parent else self._is_nsfw

    @nsfw.setter
    def nsfw(self, value: bool) -> None:
        self._is_nsfw = value

    @property
    def is_thread(self) -> bool:
        return self.type == PUBLIC_THREAD

    @property
    def is_forum(self) -> bool:
        """It holds posts, which are threads with a first message, and no messages of its own."""
        return self.type in (FORUM, MEDIA)

    @property
    def is_dm(self) -> bool:
        return self.type == DIRECT

    @property
    def is_group(self) -> bool:
        return self.type == GROUP

    @property
    def has_bot(self) -> bool:
        """Whether the bot is there: in direct messages with it, and in guilds that added it."""
        return self.guild.has_bot if self.guild else not self.is_group

    @property
    def mention(self) -> str:
        return f"<#{self.id}>"

    @property
    def messages(self) -> list[Message]:
        """Every message that stands, oldest first, ephemeral ones included."""
        return list(self._messages.values())

    @property
    def messages_ever(self) -> list[Message]:
        """Every message that was ever written here, deleted ones included: the oracle of a crash test."""
        return list(self._everything)

    def get_message(self, message_id: int) -> Message | None:
        return self._messages.get(message_id)

    def keep(self, message: Message) -> None:
        self._messages[message.id] = message
        self._everything.append(message)

    def drop(self, message: Message) -> None:
        self._messages.pop(message.id, None)
        message.is_deleted = True

    def set_overwrite(self, target: Role | Member | User, *, allow: int = 0, deny: int = 0) -> None:
        """Allow and deny permissions here to a role, a member or the bot; the bot hears CHANNEL_UPDATE."""
        self.overwrites[target.id] = (allow, deny)
        self.world.publish("channel_update", guild=self.guild, channel=self)

    def set_nsfw(self, value: bool) -> None:
        """Turn the age restriction on or off; the bot hears CHANNEL_UPDATE."""
        self.nsfw = value
        self.world.publish("channel_update", guild=self.guild, channel=self)

    def set_archived(self, value: bool, *, is_locked: bool | None = None) -> None:
        """Archive a thread or take it out of the archive; the bot hears THREAD_UPDATE."""
        self.is_archived = value
        self.is_locked = self.is_locked if is_locked is None else is_locked
        self.world.publish("channel_update", guild=self.guild, channel=self)

    def add_thread(self, name: str) -> Channel:
        """Add a public thread under this channel."""
        assert self.guild is not None, "only a guild's channel has threads"
        return self.guild.make_channel(name, PUBLIC_THREAD, parent=self)

    def delete(self) -> None:
        """Delete the channel and its threads; the bot hears CHANNEL_DELETE or THREAD_DELETE."""
        for other in list(self.guild.channels.values()) if self.guild else []:
            if other.parent is self:
                other.delete()
        self.is_deleted = True
        if self.guild is not None:
            self.guild.channels.pop(self.id, None)
        self.world.publish("channel_delete", guild=self.guild, channel=self)


@dataclass(eq=False, repr=False)
class Member:
    """A user inside a guild."""

    guild: Guild
    user: User
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None
    joined_at: str = ""
    timed_out_until: str | None = None
    """An ISO timestamp: until then they may only look, unless they are administrators."""

    def __repr__(self) -> str:
        return f"<Member {self.user.username} of {self.guild.name}>"

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def mention(self) -> str:
        return self.user.mention

    @property
    def display_name(self) -> str:
        return self.nick or self.user.display_name

    def add_role(self, role: Role) -> None:
        """Give a role; the bot hears of it as GUILD_MEMBER_UPDATE."""
        if role not in self.roles:
            self.roles.append(role)
            self.guild.world.publish("member_update", guild=self.guild, member=self)

    def remove_role(self, role: Role) -> None:
        """Take a role away; the bot hears of it as GUILD_MEMBER_UPDATE."""
        if role in self.roles:
            self.roles.remove(role)
            self.guild.world.publish("member_update", guild=self.guild, member=self)


class Guild:
    """A server: roles, members and channels."""

    def __init__(self, world: WorldState, guild_id: int, name: str, owner: User, *, has_bot: bool = True) -> None:
        self.world = world
        self.id = guild_id
        self.name = name
        self.owner_id = owner.id
        self.has_bot = has_bot
        self.attachment_size_limit = 10 * 1024 * 1024
        self.told_size_limit = 0
        """The largest limit that an interaction named: a bot may still believe in it when boosts have run out."""
        self.locale = "en-US"
        """The language its managers chose for it on Discord."""
        self.system_channel: Channel | None = None
        self.everyone = Role(guild_id, "@everyone", int(EVERYONE), position=0)
        self.roles: dict[int, Role] = {guild_id: self.everyone}
        self.members: dict[int, Member] = {}
        self.channels: dict[int, Channel] = {}

    def __repr__(self) -> str:
        return f"<Guild {self.name}>"

    @property
    def bot_member(self) -> Member:
        """The bot as a member. Raises KeyError when it is not one."""
        return self.members[self.world.bot.id]

    def add_channel(
        self,
        name: str,
        *,
        nsfw: bool = False,
        topic: str | None = None,
        is_read_only: bool = False,
        is_bot_free: bool = False,
    ) -> Channel:
        """Add a text channel; `is_read_only` denies members, `is_bot_free` denies the bot the permission to write."""
        return self.make_channel(name, TEXT, nsfw=nsfw, topic=topic, is_read_only=is_read_only, is_bot_free=is_bot_free)

    def add_forum(
        self, name: str, tags: Iterable[str] = (), *, nsfw: bool = False, requires_tag: bool = False
    ) -> Channel:
        """Add a forum whose posts may have these tags."""
        forum = self.make_channel(name, FORUM, nsfw=nsfw)
        forum.tags = {self.world.make_id(): tag for tag in tags}
        forum.requires_tag = requires_tag
        self.world.publish("channel_update", guild=self, channel=forum)
        return forum

    def make_channel(
        self,
        name: str,
        channel_type: int,
        *,
        parent: Channel | None = None,
        nsfw: bool = False,
        topic: str | None = None,
        is_read_only: bool = False,
        is_bot_free: bool = False,
        owner: User | None = None,
        tags: Iterable[tuple[int, str]] = (),
    ) -> Channel:
        """Add a channel of any kind; the bot hears CHANNEL_CREATE or THREAD_CREATE."""
        channel = Channel(self.world, self.world.make_id(), channel_type, name, guild=self)
        channel.parent, channel.nsfw, channel.topic = parent, nsfw, topic
        channel.position, channel.tags = len(self.channels), dict(tags)
        channel.owner_id = owner.id if owner is not None else None
        writing = Permission.SEND_MESSAGES | Permission.SEND_MESSAGES_IN_THREADS
        if is_read_only:
            channel.overwrites[self.id] = (0, int(writing))
            channel.overwrites[self.world.bot.id] = (int(writing), 0)
        if is_bot_free:
            channel.overwrites[self.world.bot.id] = (0, int(writing))
        self.channels[channel.id] = channel
        self.world.publish("channel_create", guild=self, channel=channel)
        return channel

    def add_role(self, name: str, permissions: int = 0, *, color: int = 0) -> Role:
        """Add a role; the bot hears GUILD_ROLE_CREATE."""
        position = len(self.roles)
        role = Role(self.world.make_id(), name, int(permissions), color, position, is_hoisted=bool(color))
        self.roles[role.id] = role
        self.world.publish("role_create", guild=self, role=role)
        return role

    def set_permissions(self, role: Role, permissions: int) -> None:
        """Change what a role may do; the bot hears GUILD_ROLE_UPDATE."""
        role.permissions = int(permissions)
        self.world.publish("role_update", guild=self, role=role)

    def remove_role(self, role: Role) -> None:
        """Delete a role and take it from its members; the bot hears GUILD_ROLE_DELETE."""
        del self.roles[role.id]
        for member in self.members.values():
            member.remove_role(role)
        self.world.publish("role_delete", guild=self, role=role)

    def add_member(
        self, who: str | User, *, roles: Iterable[Role] = (), permissions: int = 0, nick: str | None = None
    ) -> Member:
        """Add a member: a name finds or adds that user; `permissions` makes a role for them."""
        user = who if isinstance(who, User) else self.world.get_or_add_user(who)
        member = Member(self, user, list(roles), nick, self.world.clock.timestamp())
        if permissions:
            member.roles.append(self.add_role(f"{user.username}'s own", permissions))
        self.members[user.id] = member
        self.world.publish("member_add", guild=self, member=member)
        return member

    def remove_member(self, member: Member) -> None:
        """Remove a member; the bot hears GUILD_MEMBER_REMOVE."""
        del self.members[member.id]
        self.world.publish("member_remove", guild=self, member=member)

    def join_bot(self) -> None:
        """Make the bot a member, with a role of its own."""
        bot = self.world.bot
        role = Role(self.world.make_id(), bot.username, int(self.everyone.permissions), is_managed=True)
        role.bot_id = bot.id
        self.roles[role.id] = role
        self.members[bot.id] = Member(self, bot, [role], joined_at=self.world.clock.timestamp())

    def add_bot(self) -> None:
        """Invite the bot to a guild that does not have it; it hears GUILD_CREATE."""
        self.has_bot = True
        self.join_bot()
        self.world.publish("guild_create", guild=self)

    def kick_bot(self) -> None:
        """Remove the bot; it hears GUILD_DELETE and loses access."""
        self.has_bot = False
        self.members.pop(self.world.bot.id, None)
        self.roles = {key: role for key, role in self.roles.items() if role.bot_id != self.world.bot.id}
        self.world.publish("guild_delete", guild=self)
