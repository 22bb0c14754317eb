"""The people of a crash test: they ask for pictures, delete messages, and wait until their tokens expire."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from discord_sandbox import Interaction, Sandbox
from tests.reliability.oracle import Witness

PROMPT = "a red circle on a blue background"
CHANNELS, MEMBERS = 6, 8
TWENTY_MINUTES_S = 20 * 60


class Crowd:
    """Members of one server, each in every channel; what they do is decided by `chance`."""

    def __init__(self, discord: Sandbox, witness: Witness, chance: random.Random) -> None:
        self._discord, self._witness, self._chance = discord, witness, chance
        guild = discord.add_guild("Harbour")
        channels = [guild.add_channel(f"channel{number}") for number in range(CHANNELS)]
        members = [guild.add_member(f"member{number}") for number in range(MEMBERS)]
        self._people = [discord.act_as(member, channel) for member in members for channel in channels]
        self._asking: set[asyncio.Task[None]] = set()
        self.asked: list[Interaction] = []

    @property
    def is_asking(self) -> bool:
        """Return whether commands wait for their first answer."""
        return bool(self._asking)

    @property
    def num_thinking(self) -> int:
        """Return how many commands were answered with nothing but “thinking…”."""
        return sum(asked.original_message is not None and asked.original_message.is_loading for asked in self.asked)

    def ask(self, *, steps: tuple[int, int] = (1, 3)) -> None:
        """Have one of them ask for one or two pictures. `steps`: how many at least and at most."""
        who, count = self._chance.choice(self._people), self._chance.randint(1, 2)
        of_each = self._chance.randint(*steps)

        async def ask() -> None:
            with suppress(Exception):  # the commands may not be registered yet
                asked = await who.slash("imagine", prompt=PROMPT, count=count, steps=of_each, size="64x64")
                self.asked.append(asked)

        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def spoil_messages(self) -> None:
        """Let tokens expire and users delete waiting messages: then only a new message can bring the result."""
        if self._chance.random() < 0.25:
            self._discord.clock.advance(TWENTY_MINUTES_S)
            self._discord.faults.clear()
        for asked in self.asked[-6:]:
            message = asked.original_message
            if message is not None and self._witness.is_going(message) and self._chance.random() < 0.2:
                self._witness.removed.add(message.id)
                message.channel.drop(message)
                self._discord.world.publish(
                    "message_delete", guild=message.channel.guild, channel=message.channel, message=message
                )
