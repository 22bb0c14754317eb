"""Limits admission: a number of requests at a time, the next ones wait in order, and further ones are refused.

Without a limit every request waits for every other: at 100 a second none was acknowledged in the 3 s Discord allows.
A refusal costs a tenth of an acceptance, so admitted requests are served soon under any load. See `bench ack`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from generation.errors import CrowdedError, DrainingError

AT_ONCE = 16
"""More at once are not let in sooner: they share one processor, and one write to disk takes what has gathered."""
PLACES = 96
"""About a second's worth."""
PLACES_OF_ONE_GUILD = 64
"""So that no guild's crowd keeps the others out."""


class AdmissionLimiter:
    """One for the whole bot, in one event loop. Nothing in it outlives a restart, and nothing needs to."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(AT_ONCE)
        self.num_inside = 0
        """How many hold a place, of all guilds."""
        self._of_guild = Counter[int]()
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    async def close(self, *, patience_s: float) -> None:
        """Refuse new requests, and wait for those inside: Discord has shown them “thinking…” already."""
        self._is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._empty.wait()

    def check_capacity(self, guild_id: int, *, share: float = 1.0) -> None:
        """Raise `CrowdedError` where one more would have to wait too long, `DrainingError` after `close`.

        `share`: the part of all places up to which they are given to such a request.
        """
        if self._is_closed:
            raise DrainingError
        if self.num_inside >= PLACES * share or self._of_guild[guild_id] >= PLACES_OF_ONE_GUILD * share:
            raise CrowdedError

    @contextmanager
    def slot(self, guild_id: int) -> Iterator[None]:
        """Count as one who is being let in."""
        self.num_inside += 1
        self._empty.clear()
        self._of_guild[guild_id] += 1
        try:
            yield
        finally:
            self.num_inside -= 1
            self._of_guild[guild_id] -= 1
            if not self._of_guild[guild_id]:
                del self._of_guild[guild_id]
            if not self.num_inside:
                self._empty.set()

    @asynccontextmanager
    async def acquire(self, guild_id: int) -> AsyncIterator[None]:
        """Wait until it is one's turn; in order."""
        with self.slot(guild_id):
            async with self._semaphore:
                yield
