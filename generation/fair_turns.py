"""Fair turns at a limited resource: the next by server, then by member, oldest first.

A first-come line lets one server's flood hold up everyone. Here a freed place goes to the server that was served least
recently of those that wait, in it to the member served least recently; and one server, or one member, never holds all
places, so another's request waits for one turn, however many others wait. What lives here is memory of one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from generation.errors import CrowdedError
from generation.owner import Owner

MAX_WAITING_OF_MEMBER = 8
MAX_WAITING_OF_GUILD = 64


@dataclass(eq=False, slots=True)
class _Waiting:
    owner: Owner
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairTurns:
    """`places` at a time, of which one guild holds at most `of_guild` and one member at most `of_member`."""

    def __init__(self, places: int, *, of_guild: int, of_member: int) -> None:
        self._free = places
        self._of_guild, self._of_member = of_guild, of_member
        self._held: Counter[Hashable] = Counter()
        """Places held, by guild id and by owner."""
        self._waiting: list[_Waiting] = []
        self._served: dict[Hashable, int] = {}
        """The number of the last turn of each guild and owner that waits or holds a place."""
        self._num_served = 0

    @asynccontextmanager
    async def turn(self, owner: Owner) -> AsyncIterator[None]:
        """Hold a place. Raise `CrowdedError` if too many requests of that member, or of that guild, wait already."""
        await self._take(owner)
        try:
            yield
        finally:
            self._release(owner)

    async def _take(self, owner: Owner) -> None:
        self._require_room(owner)
        mine = _Waiting(owner)
        self._waiting.append(mine)
        self._fill()
        try:
            await mine.turn
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
                self._forget(owner)
            else:  # the place came in the same moment
                self._release(owner)
            raise

    def _release(self, owner: Owner) -> None:
        self._free += 1
        self._held.subtract((owner.guild_id, owner))
        self._fill()
        self._forget(owner)

    def _fill(self) -> None:
        """Give the free places to those who may have one."""
        while self._free and (fitting := [each for each in self._waiting if self._may_hold(each.owner)]):
            chosen = min(fitting, key=lambda each: self._find_last_turns(each.owner))
            self._waiting.remove(chosen)
            self._free -= 1
            self._num_served += 1
            for key in (chosen.owner.guild_id, chosen.owner):
                self._held[key] += 1
                self._served[key] = self._num_served
            chosen.turn.set_result(None)

    def _may_hold(self, owner: Owner) -> bool:
        return self._held[owner.guild_id] < self._of_guild and self._held[owner] < self._of_member

    def _find_last_turns(self, owner: Owner) -> tuple[int, int]:
        return self._served.get(owner.guild_id, 0), self._served.get(owner, 0)

    def _require_room(self, owner: Owner) -> None:
        of_guild = [each.owner for each in self._waiting if each.owner.guild_id == owner.guild_id]
        if len(of_guild) >= MAX_WAITING_OF_GUILD or of_guild.count(owner) >= MAX_WAITING_OF_MEMBER:
            raise CrowdedError

    def _forget(self, owner: Owner) -> None:
        """Drop the record of a guild and a member that neither wait nor hold a place."""
        waiting = {key for each in self._waiting for key in (each.owner.guild_id, each.owner)}
        for key in (owner.guild_id, owner):
            if not self._held[key]:
                del self._held[key]
                if key not in waiting:
                    self._served.pop(key, None)
