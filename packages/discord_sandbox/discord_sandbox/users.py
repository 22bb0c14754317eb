"""Users and roles."""

from __future__ import annotations

from dataclasses import dataclass


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
