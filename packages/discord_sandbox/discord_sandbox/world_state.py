"""The clock, ids, application and users of the world, and who waits for a change: what guilds and channels use."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import TypeVar

from discord_sandbox.clock import Clock
from discord_sandbox.snowflake import Snowflakes
from discord_sandbox.users import User

T = TypeVar("T")
RECHECK_S = 0.1
"""How often a condition is looked at without a change here: it may depend on the bot alone."""


# The first ids are of this moment (2 January 2024), so that a bot which keeps its database finds the same
# people, servers and channels when a seeded sandbox is started again.
FOUNDED_S = 1_704_153_600.0


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
        self.presence = ""
        """What the bot says that it is doing."""
        self.first_command = ""
        """The command that the page offers first: what a newcomer should try."""
        self.web_pages: dict[str, str] = {}
        """Addresses of web pages that the bot has beside Discord, by their names."""


class WorldState:
    """The world without its guilds and channels, which refer to it."""

    def __init__(self, clock: Clock, bot_name: str) -> None:
        self.clock = clock
        self._snowflakes = Snowflakes(lambda: FOUNDED_S)
        self.application = Application(self.make_id(), bot_name)
        self.bot = self.application.bot
        self.owner = User(self.make_id(), "founder")
        self.users: dict[int, User] = {self.bot.id: self.bot, self.owner.id: self.owner}
        self._wake: asyncio.Event = asyncio.Event()

    def begin(self) -> None:
        """Let ids tell the time from here on. What was made before has the same ids in every run."""
        self._snowflakes = Snowflakes(self.clock.now)

    def make_id(self) -> int:
        return self._snowflakes.make_id()

    def publish(self, kind: str, **subjects: object) -> None:
        """Tell every listener and wake every waiter; `subjects` are the fields of `world.Change`."""
        raise NotImplementedError

    def wake(self) -> None:
        """Make every waiter look at its predicate again."""
        self._wake.set()
        self._wake = asyncio.Event()

    async def wait_for(self, predicate: Callable[[], T], *, timeout_s: float) -> T:
        """Return the first true value of `predicate`, asked again after every change, and every `RECHECK_S`.

        Raise TimeoutError after `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                wake = self._wake
                if value := predicate():
                    return value
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), RECHECK_S)

    def add_user(self, name: str, *, global_name: str | None = None) -> User:
        user = User(self.make_id(), name, global_name)
        self.users[user.id] = user
        self.publish("user_create", user=user)
        return user

    def get_or_add_user(self, name: str) -> User:
        """Return the user of that name, added if there is none yet."""
        for user in self.users.values():
            if user.username == name and not user.is_bot:
                return user
        return self.add_user(name)
