"""Load over the real protocol: users of many servers send a command to a local Discord, at a steady rate.

Discord here only records while the load lasts; what it recorded is judged afterwards.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser
from discord_sandbox.journal import GatewayEvent, RestCall
from discord_sandbox.world import Change

EDITS_PERIOD_S = 5.0
"""Discord lets a webhook write five times in so many seconds."""
PATIENCE_S = 60.0
_BY_TOKEN = ("/webhooks/", "/interactions/")
"""Calls that an interaction's token pays for; all others share the bot's own 50 a second."""


@dataclass(eq=False, slots=True)
class Asked:
    """One request: when it was asked, and when it was first answered in words. Seconds of the event loop's clock."""

    interaction: Interaction
    told_s: float | None = None

    @property
    def told_ms(self) -> float | None:
        return None if self.told_s is None else (self.told_s - self.interaction.sent_at_s) * 1000

    @property
    def refusal(self) -> Message | None:
        """Return the private text that a user reads instead of a result."""
        found = [message for message in self.interaction.messages if message.is_ephemeral and not message.is_loading]
        return found[0] if found else None


@dataclass(slots=True)
class Calls:
    """REST calls of the bot, counted as they arrive."""

    edits: int = 0
    edits_by_token: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    others_by_second: Counter[int] = field(default_factory=Counter)

    def note(self, entry: RestCall | GatewayEvent) -> None:
        if not isinstance(entry, RestCall):
            return
        if not entry.path.startswith(_BY_TOKEN):
            self.others_by_second[int(entry.at_s)] += 1
        elif entry.path.startswith("/webhooks/"):
            self.edits += 1
            self.edits_by_token[entry.path.split("/")[3]].append(entry.at_s)

    @property
    def most_edits(self) -> int:
        """Return the most edits of one interaction within `EDITS_PERIOD_S`."""
        return max((_most_within(times, EDITS_PERIOD_S) for times in self.edits_by_token.values()), default=0)

    @property
    def most_others(self) -> int:
        """Return the most calls within a second that count against the bot's global limit."""
        return max(self.others_by_second.values(), default=0)


class Load:
    """`rate` uses of `/command` a second for `seconds`, by a random member of a random server each time."""

    def __init__(self, discord: Sandbox, people: Sequence[ScriptedUser], *, seed: int = 1) -> None:
        self._discord, self._people = discord, people
        self._chance = random.Random(seed)
        self._told: dict[int, float] = {}
        self._num_failed = 0
        self.asked: list[Asked] = []
        self.calls = Calls()

    async def run(self, command: str, options: Mapping[str, Any], *, rate: float, seconds: float) -> None:
        """Return when every request has an answer, or when none came for `PATIENCE_S`."""
        loop = asyncio.get_running_loop()
        forget = self._discord.journal.on_entry(self.calls.note)
        deafen = self._discord.world.subscribe(self._hear)
        started = loop.time()
        async with asyncio.TaskGroup() as asking:
            for number in range(round(rate * seconds)):
                who = self._chance.choice(self._people)
                asking.create_task(self._ask(who, command, options))
                await asyncio.sleep(max(0.0, started + (number + 1) / rate - loop.time()))
        with suppress(TimeoutError):
            await self._discord.wait_for(self._is_everybody_told, timeout_s=max(PATIENCE_S, self._discord.patience_s))
        forget()
        deafen()
        for each in self.asked:
            each.told_s = self._told.get(each.interaction.id)

    async def _ask(self, who: ScriptedUser, command: str, options: Mapping[str, Any]) -> None:
        asked = Asked(await who.slash(command, **options))
        self.asked.append(asked)
        self._num_failed += asked.interaction.failed

    def _hear(self, change: Change) -> None:
        message = change.message
        if message is None or message.interaction is None or message.is_loading or message.is_deleted:
            return
        self._told.setdefault(message.interaction.id, asyncio.get_running_loop().time())

    def _is_everybody_told(self) -> bool:
        return len(self._told) + self._num_failed >= len(self.asked)


def settle(discord: Sandbox, *, guilds: int, members: int) -> list[ScriptedUser]:
    """Create so many servers with so many members each, all of them looking at a channel."""
    people = []
    for number in range(guilds):
        guild = discord.add_guild(f"Server {number}")
        channel = guild.add_channel("general")
        users = [discord.add_user(f"person{number}-{each}") for each in range(members)]
        people += [discord.act_as(guild.add_member(user), channel) for user in users]
    return people


def _most_within(times_s: Sequence[float], period_s: float) -> int:
    """Return the most of `times_s` (ascending) within any window of `period_s`."""
    most = first = 0
    for last, at_s in enumerate(times_s):
        while times_s[first] <= at_s - period_s:
            first += 1
        most = max(most, last - first + 1)
    return most
