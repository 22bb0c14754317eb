"""The fair queue: weighted fair sharing between guilds, and inside a guild between its members.

Pure and synchronous: no clock, no asyncio, no database. Everything is decided by the order of the calls.

Algorithm (start-time fair queueing, Goyal et al., 1996; for language models as virtual token counters, Sheng et al.,
OSDI 2024). Every guild has a *counter*: the cost it was charged so far, divided by its weight. `pick` takes the guild
with the smallest counter among those with something waiting, in it the member with the smallest counter (charges
divided by the member's boost), of that member the oldest image, and charges its cost to both as it is handed out.
`settle` corrects the charge when the true cost is known. The *level* is the counter of the guild last picked, before
its charge. A guild (a member) that had nothing waiting is *lifted* to the level when it asks again: neither having
been away nor having asked for little earns credit, else it would be alone on the machine until it had caught up.

Bound. Let u be the largest cost of one image over the smallest weight. A guild is charged only while its counter is
the smallest, and then the level rises to that counter; who comes, comes at the level or above. So every waiting
guild's counter lies between the level L and L + u. Over any interval in which two guilds f and g both have something
waiting, their counters part by at most u at its beginning and at most u at its end, so what they are handed out obeys

    | charged(f) / weight(f) - charged(g) / weight(g) |  <=  2 u

whatever the arrivals, the weights and the other guilds. What a guild has been handed but not yet been served is in
flight; with at most b of one guild's images in flight, the service itself obeys 2 (b + 1) u in whatever order the
worker takes its steps (`generation.scheduling.step_schedule` takes them in a far better one). Corrections give back
what was
charged for work that was not done: they move a counter down by no more than that. Inside a guild the same holds
between members, with boosts for weights.

No starvation: of k guilds, each other one can be charged at most 2 u before the first in line here is picked.
Work conserving: `pick` returns an image whenever one waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from generation.errors import QueueFullError
from generation.scheduling.counter_heap import CounterHeap
from generation.scheduling.guild_line import GuildLine, Waiting
from generation.translatable import Phrase


class FairQueue:
    """Images waiting for a worker, in fair order. See the module's text for the algorithm and its bound."""

    def __init__(self, *, max_per_user: int = 32, max_per_guild: int = 1000) -> None:
        self._guilds: dict[int, GuildLine] = {}
        self._eligible = CounterHeap()
        self._newcomers = CounterHeap()
        self._where: dict[str, Waiting] = {}
        self._in_flight: dict[str, Waiting] = {}
        self._level = 0.0
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
        """Set a guild's claim relative to the others' (1 by default). Takes effect with the next charge."""
        if not 0 < weight < float("inf"):
            raise ValueError(f"a weight is a positive number, not {weight}")
        self._guild(guild_id).weight = weight

    def check_room(self, guild_id: int, user_id: int, num_images: int, *, num_arriving: int = 0) -> None:
        """Raise `QueueFullError` if `num_images` more would be over what one member, or one guild, may have waiting.

        `num_arriving`: images of theirs that were let in and are not in the line yet.
        """
        guild = self._guild(guild_id)
        own, all_of_them = guild.num_waiting_of(user_id) + num_arriving, guild.num_waiting + num_arriving
        if own + num_images > self._max_per_user:
            raise QueueFullError(whose=Phrase("for one member"), waiting=own, limit=self._max_per_user)
        if all_of_them + num_images > self._max_per_guild:
            raise QueueFullError(whose=Phrase("in one server"), waiting=all_of_them, limit=self._max_per_guild)

    def push(self, waiting: Waiting) -> None:
        """Put an image in line behind its owner's others. Raise `ValueError` if it is known already."""
        self._enter(waiting, first=False)

    def push_back(self, image_id: str) -> None:
        """Return an image in flight to the head of its owner's line (its worker was lost) and undo its charge."""
        waiting = self._in_flight.pop(image_id)
        guild = self._guild(waiting.guild_id)
        guild.num_in_flight -= 1
        guild.charge(waiting, -waiting.cost)
        self._enter(waiting, first=True, lift=False)

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
        self._level = max(self._level, guild.counter)
        waiting = guild.pop()
        del self._where[waiting.image_id]
        self._in_flight[waiting.image_id] = waiting
        guild.num_in_flight += 1
        guild.charge(waiting, waiting.cost)
        self._refresh(guild)
        return waiting

    def settle(self, image_id: str, true_cost: int) -> None:
        """Correct the charge of an image in flight that ended and cost `true_cost` (0 for one that was refunded)."""
        waiting = self._in_flight.pop(image_id)
        guild = self._guild(waiting.guild_id)
        guild.num_in_flight -= 1
        guild.charge(waiting, true_cost - waiting.cost)
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
        """Return `(weight, counter)` of a guild."""
        guild = self._guild(guild_id)
        return guild.weight, guild.counter

    def claim_of(self, guild_id: int) -> float:
        """Return the share of the machine that a guild may claim now, 0 to 1: its weight among those with work.

        O(guilds).
        """
        own = self._guild(guild_id)
        return own.weight / sum(each.weight for each in self._guilds.values() if each.is_active or each is own)

    def forecast(self) -> Iterator[Waiting]:
        """Yield the waiting images in the order they will be picked if nothing else arrives.

        O(n log n) for all of them.
        """
        order = self._eligible.copy()
        forks: dict[int, GuildLine] = {}
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
        """Return every guild's counter, to keep over a restart: an idle guild's as lifted on its return.

        What is in flight counts as not charged: a restart puts it back in line.
        """
        charged = {guild_id: guild.counter for guild_id, guild in self._guilds.items()}
        for waiting in self._in_flight.values():
            charged[waiting.guild_id] -= waiting.cost / self._guilds[waiting.guild_id].weight
        for guild_id, guild in self._guilds.items():
            if not guild.is_active:
                charged[guild_id] = max(charged[guild_id], self._level)
        return {guild_id: counter for guild_id, counter in charged.items() if counter > 0}

    def restore(self, counters: Mapping[int, float], waiting: Iterable[Waiting]) -> None:
        """Take up the counters and the line of an earlier run, oldest first: no one's share changes, so no lifts.

        Members start level: among those who wait, counters never part by more than one charge.
        """
        for guild_id, counter in counters.items():
            self._guild(guild_id).counter = counter
        self._level = min(counters.values(), default=0.0)
        for each in waiting:
            self._enter(each, first=False, lift=False)

    def _guild(self, guild_id: int) -> GuildLine:
        if guild_id not in self._guilds:
            self._guilds[guild_id] = GuildLine(guild_id)
        return self._guilds[guild_id]

    def _enter(self, waiting: Waiting, *, first: bool, lift: bool = True) -> None:
        if waiting.image_id in self._where or waiting.image_id in self._in_flight:
            raise ValueError(f"image {waiting.image_id} is in the queue already")
        guild = self._guild(waiting.guild_id)
        if lift and not guild.num_waiting:
            guild.counter = max(guild.counter, self._level)
        self._where[waiting.image_id] = waiting
        guild.push(waiting, first=first)
        self._refresh(guild)

    def _refresh(self, guild: GuildLine) -> None:
        """Update the heaps for a guild that changed."""
        if not guild.num_waiting:
            self._eligible.discard(guild.guild_id)
            self._newcomers.discard(guild.guild_id)
            if not guild.num_in_flight:
                self._left(guild)
            return
        self._eligible.set(guild.guild_id, guild.counter)
        if guild.num_in_flight:
            self._newcomers.discard(guild.guild_id)
        else:
            self._newcomers.set(guild.guild_id, guild.counter)

    def _left(self, guild: GuildLine) -> None:
        """Drop a guild that has no work left. If none is left, the next newcomer starts where this one stopped."""
        guild.forget_members()
        if not self._where and not self._in_flight:
            self._level = max(self._level, guild.counter)
