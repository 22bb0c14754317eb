"""Who is on Discord: users, the roles of a guild, and members (a user inside a guild)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discord_sandbox.places import Guild


@dataclass(eq=False, repr=False)
class User:
    """An account, a person's or the bot's."""

    id: int
    username: str
    global_name: str | None = None
    is_bot: bool = False
    locale: str = "en-US"
    accepts_dms: bool = True

    def __repr__(self) -> str:
        return f"<User {self.username}>"

    @property
    def display_name(self) -> str:
        return self.global_name or self.username

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"


@dataclass(eq=False, repr=False)
class Role:
    """A named set of permissions in one guild; @everyone has the guild's own id."""

    id: int
    name: str
    permissions: int
    color: int = 0
    position: int = 1
    is_hoisted: bool = False
    is_managed: bool = False
    bot_id: int | None = None

    def __repr__(self) -> str:
        return f"<Role {self.name}>"

    @property
    def mention(self) -> str:
        return f"<@&{self.id}>"


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
