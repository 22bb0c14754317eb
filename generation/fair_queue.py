"""Whose picture is next: weighted fair sharing between guilds, and inside a guild between its members.

Pure and synchronous: no clock, no asyncio, no database. Everything is decided by the order of the calls.

Algorithm (the family of virtual token counters, Sheng et al., OSDI 2024, and of start-time fair queueing, Goyal et
al., 1996). Every guild has a *counter*: the cost it was charged so far, divided by its weight. `pick` takes the
guild with the smallest counter among those with something waiting, in it the member with the smallest counter, of
that member the oldest image, and charges its cost to both as it is handed out. `settle` corrects the charge when
the true cost is known. A guild that comes back from idle is *lifted* to the smallest counter among the active
guilds (or, if there are none, to that of the guild that was last to leave): having been away earns no credit, else
the returning guild would be alone on the machine until its counter had caught up.

Bound. Let u be the largest cost of one image over the smallest weight. As long as two guilds f and g both have
something waiting, neither is charged while its counter is above the other's, so the counters never part by more
than u: one charge can carry a counter past the other by at most u, and then it waits. Over any interval in which
both wait, each counter therefore moves by the same amount give or take u at either end, so

    | service(f) / weight(f) - service(g) / weight(g) |  <=  2 u

whatever the arrivals, the weights and the other guilds. (Corrections that give back cost move a counter down by no
more than what was charged for images that did not run, so in the bound service is what was truly used plus what is
in flight.) Work conserving: `pick` returns an image whenever one waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from generation.errors import QueueFull


@dataclass(frozen=True, slots=True)
class Waiting:
    """One image in line. `cost` is nominal, in the units of `generation.cost`."""

    image_id: str
    guild_id: int
    user_id: int
    cost: int


class FairQueue:
    """Images waiting for a worker, in fair order. See the module's text for the algorithm and its bound."""

    def __init__(self, *, max_per_user: int = 32, max_per_guild: int = 1000) -> None:
        self._guilds: dict[int, _Guild] = {}
        self._eligible = _MinByCounter()
        self._newcomers = _MinByCounter()
        self._active = _MinByCounter()
        self._where: dict[str, Waiting] = {}
        self._in_flight: dict[str, Waiting] = {}
        self._floor = 0.0
        self._max_per_user = max_per_user
        self._max_per_guild = max_per_guild

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._where

    @property
    def num_in_flight(self) -> int:
        return len(self._in_flight)

    def is_in_flight(self, image_id: str) -> bool:
        return image_id in self._in_flight

    def set_weight(self, guild_id: int, weight: float) -> None:
        """A guild's claim relative to the others' (1 by default). Takes effect with the next charge."""
        if not 0 < weight < float("inf"):
            raise ValueError(f"a weight is a positive number, not {weight}")
        self._guild(guild_id).weight = weight

    def check_room(self, guild_id: int, user_id: int, num_images: int) -> None:
        """Raise `QueueFull` if `num_images` more would be over what one member, or one guild, may have waiting."""
        guild = self._guild(guild_id)
        if guild.num_waiting_of(user_id) + num_images > self._max_per_user:
            raise QueueFull(who="You", waiting=guild.num_waiting_of(user_id), limit=self._max_per_user)
        if guild.num_waiting + num_images > self._max_per_guild:
            raise QueueFull(who="This server", waiting=guild.num_waiting, limit=self._max_per_guild)

    def push(self, waiting: Waiting) -> None:
        """Put an image in line behind its owner's others. Raises `ValueError` if it is known already."""
        self._enter(waiting, first=False)

    def push_back(self, image_id: str) -> None:
        """An image in flight returns to the head of its owner's line (its worker was lost); its charge is undone."""
        waiting = self._in_flight[image_id]
        self._charge(waiting, -waiting.cost)
        del self._in_flight[image_id]
        self._enter(waiting, first=True)
        self._guild(waiting.guild_id).num_in_flight -= 1

    def pick(self) -> Waiting | None:
        """Hand out the next image in fair order and charge it; None when nothing waits. O(log n) amortised."""
        guild_id = self._eligible.first()
        return None if guild_id is None else self._hand_out(guild_id)

    def pick_newcomer(self) -> Waiting | None:
        """Hand out an image of a guild that has none in flight, if no waiting guild has a smaller counter.

        For a worker that is full but can hold one more: it is what lets a light guild feel alone. It picks among
        equals only, so the bound stands.
        """
        guild_id = self._newcomers.first()
        if guild_id is None or self._guilds[guild_id].counter > self._eligible.smallest(default=float("inf")):
            return None
        return self._hand_out(guild_id)

    def _hand_out(self, guild_id: int) -> Waiting:
        guild = self._guilds[guild_id]
        waiting = guild.pop()
        del self._where[waiting.image_id]
        self._in_flight[waiting.image_id] = waiting
        guild.num_in_flight += 1
        self._charge(waiting, waiting.cost)
        self._refresh(guild)
        return waiting

    def settle(self, image_id: str, true_cost: int) -> None:
        """An image in flight has ended and cost `true_cost` (0 for one that was refunded)."""
        waiting = self._in_flight.pop(image_id)
        guild = self._guild(waiting.guild_id)
        guild.num_in_flight -= 1
        self._charge(waiting, true_cost - waiting.cost)
        self._refresh(guild)

    def cancel(self, image_id: str) -> Waiting | None:
        """Take a waiting image out of line, uncharged. None if it does not wait here. O(log n)."""
        waiting = self._where.pop(image_id, None)
        if waiting is not None:
            guild = self._guild(waiting.guild_id)
            guild.remove(waiting)
            self._refresh(guild)
        return waiting

    def share_of(self, guild_id: int) -> tuple[float, float]:
        """`(weight, counter)` of a guild."""
        guild = self._guild(guild_id)
        return guild.weight, guild.counter

    def forecast(self) -> Iterator[Waiting]:
        """The waiting images in the order they will be picked if nothing else arrives. O(n log n) for all of them."""
        order = self._eligible.copy()
        forks: dict[int, _Guild] = {}
        while (guild_id := order.first()) is not None:
            fork = forks.get(guild_id) or forks.setdefault(guild_id, self._guilds[guild_id].fork())
            waiting = fork.pop()
            yield waiting
            fork.charge(waiting, waiting.cost)
            if fork.num_waiting:
                order.set(guild_id, fork.counter)
            else:
                order.discard(guild_id)

    def counters(self) -> dict[int, float]:
        """Every guild's counter, to be kept over a restart: an idle guild's as it would be lifted on return."""
        floor = self._active.smallest(default=self._floor)
        lifted = ((guild_id, max(guild.counter, floor)) for guild_id, guild in self._guilds.items())
        return {guild_id: counter for guild_id, counter in lifted if counter > 0}

    def restore(self, counters: Mapping[int, float], waiting: Iterable[Waiting]) -> None:
        """Take up the counters and the line of an earlier run, oldest first: no one's share changes, so no lifts."""
        for guild_id, counter in counters.items():
            self._guild(guild_id).counter = counter
        self._floor = min(counters.values(), default=0.0)
        for each in waiting:
            self._enter(each, first=False, lift=False)

    def _guild(self, guild_id: int) -> _Guild:
        return self._guilds.setdefault(guild_id, _Guild(guild_id))

    def _enter(self, waiting: Waiting, *, first: bool, lift: bool = True) -> None:
        if waiting.image_id in self._where or waiting.image_id in self._in_flight:
            raise ValueError(f"image {waiting.image_id} is in the queue already")
        guild = self._guild(waiting.guild_id)
        if lift and not guild.is_active:
            guild.counter = max(guild.counter, self._active.smallest(default=self._floor))
        self._where[waiting.image_id] = waiting
        guild.push(waiting, first=first)
        self._refresh(guild)

    def _charge(self, waiting: Waiting, cost: int) -> None:
        guild = self._guild(waiting.guild_id)
        guild.charge(waiting, cost)

    def _refresh(self, guild: _Guild) -> None:
        """Bring the heaps up to date with a guild that changed."""
        if guild.num_waiting:
            self._eligible.set(guild.guild_id, guild.counter)
        else:
            self._eligible.discard(guild.guild_id)
        if guild.num_waiting and not guild.num_in_flight:
            self._newcomers.set(guild.guild_id, guild.counter)
        else:
            self._newcomers.discard(guild.guild_id)
        if guild.is_active:
            self._active.set(guild.guild_id, guild.counter)
        else:
            self._floor = guild.counter
            self._active.discard(guild.guild_id)
            guild.members.clear()


@dataclass(slots=True)
class _Member:
    """A member's images in line, oldest first, and what the member was charged."""

    counter: float = 0.0
    line: OrderedDict[str, Waiting] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Guild:
    """A guild's members in line. The same algorithm as between guilds, one level down, with equal weights."""

    guild_id: int
    weight: float = 1.0
    counter: float = 0.0
    num_in_flight: int = 0
    num_waiting: int = 0
    members: dict[int, _Member] = field(default_factory=dict)
    eligible: _MinByCounter = field(default_factory=lambda: _MinByCounter())

    @property
    def is_active(self) -> bool:
        return bool(self.num_waiting or self.num_in_flight)

    def num_waiting_of(self, user_id: int) -> int:
        member = self.members.get(user_id)
        return len(member.line) if member else 0

    def push(self, waiting: Waiting, *, first: bool) -> None:
        member = self.members.setdefault(waiting.user_id, _Member())
        if not member.line:
            member.counter = max(member.counter, self.eligible.smallest(default=member.counter))
        member.line[waiting.image_id] = waiting
        member.line.move_to_end(waiting.image_id, last=not first)
        self.num_waiting += 1
        self.eligible.set(waiting.user_id, member.counter)

    def pop(self) -> Waiting:
        user_id = self.eligible.first()
        assert user_id is not None
        member = self.members[user_id]
        _, waiting = member.line.popitem(last=False)
        self._left(waiting.user_id)
        return waiting

    def remove(self, waiting: Waiting) -> None:
        del self.members[waiting.user_id].line[waiting.image_id]
        self._left(waiting.user_id)

    def charge(self, waiting: Waiting, cost: int) -> None:
        self.counter += cost / self.weight
        member = self.members[waiting.user_id]
        member.counter += cost
        if member.line:
            self.eligible.set(waiting.user_id, member.counter)

    def fork(self) -> _Guild:
        """A copy to run ahead with; images are shared, they are frozen."""
        members = {user_id: _Member(m.counter, m.line.copy()) for user_id, m in self.members.items() if m.line}
        return _Guild(
            self.guild_id,
            self.weight,
            self.counter,
            num_waiting=self.num_waiting,
            members=members,
            eligible=self.eligible.copy(),
        )

    def _left(self, user_id: int) -> None:
        self.num_waiting -= 1
        if not self.members[user_id].line:
            self.eligible.discard(user_id)


class _MinByCounter:
    """Keys ordered by counter, ties by who came first. A heap whose outdated entries are dropped when they surface."""

    __slots__ = ("_heap", "_ticket", "_tickets")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int]] = []
        self._tickets: dict[int, int] = {}
        self._ticket = 0

    def copy(self) -> _MinByCounter:
        twin = _MinByCounter()
        twin._heap, twin._tickets, twin._ticket = self._heap.copy(), self._tickets.copy(), self._ticket
        return twin

    def set(self, key: int, counter: float) -> None:
        self._ticket += 1
        self._tickets[key] = self._ticket
        heappush(self._heap, (counter, self._ticket, key))
        if len(self._heap) > 64 + 4 * len(self._tickets):
            self._heap = [entry for entry in self._heap if self._tickets.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def discard(self, key: int) -> None:
        self._tickets.pop(key, None)

    def first(self) -> int | None:
        """The key with the smallest counter, or None."""
        entry = self._head()
        return None if entry is None else entry[2]

    def smallest(self, *, default: float) -> float:
        """The smallest counter, or `default` if there is no key."""
        entry = self._head()
        return default if entry is None else entry[0]

    def _head(self) -> tuple[float, int, int] | None:
        while self._heap and self._tickets.get(self._heap[0][2]) != self._heap[0][1]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None
