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
what was charged for work that was not done: they move a counter down by no more than that. Inside a guild the same
holds between members, with boosts for weights.

Several workers. The charge is made as an image is handed out, to whichever worker, so the bound on what is charged
does not depend on their number or speeds. Only b grows, by the slots of all (as in SFQ(D), Jin et al., 2004).

Classes of work. Not every worker can take every image: it may lack the model, or not be the one under whose
fingerprint a replay is exact. `pick` takes the first guild, in the order of the counters, that has an image which a
free worker may take; a guild that is passed over is charged nothing and keeps its place. So the bound holds between
two guilds over any interval in which both have images waiting that the same workers may take: a guild whose images
live on one card competes for that card only, and a guild with images of several classes does so with one counter.
Each worker has a level of its own, the counter of the guild last picked for it, and who returns is lifted to the
highest level among the workers that may take the image: not to that of a worker it does not compete for, which may be
far above those it will stand beside, and would keep it waiting until they had caught up.

Loads. A model that a worker has to load is charged too, at once, to the image that asks for it or to a guild that made
it leave: `generation.scheduling.swaps` says who pays, and restates the bound with it.

No starvation: of k guilds, each other one can be charged at most 2 u before the first in line here is picked.
Work conserving: `pick` returns an image whenever one waits that a free worker may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from generation.errors import QueueFullError
from generation.scheduling.counter_heap import CounterHeap
from generation.scheduling.guild_line import GuildLine, Waiting
from generation.scheduling.placement import Needs
from generation.translatable import Phrase

Choose = Callable[[Needs], str | None]
"""Names a worker with room for an image of these needs; None where there is none."""
_ONLY = ""
"""The worker, where there is one."""


def _anywhere(needs: Needs) -> str:
    return _ONLY


class FairQueue:
    """Images waiting for a worker, in fair order. See the module's text for the algorithm and its bound."""

    def __init__(self, *, max_per_user: int = 32, max_per_guild: int = 1000) -> None:
        self._guilds: dict[int, GuildLine] = {}
        self._eligible = CounterHeap()
        self._newcomers = CounterHeap()
        self._where: dict[str, Waiting] = {}
        self._in_flight: dict[str, Waiting] = {}
        self._classes: Counter[Needs] = Counter()
        """How many images of each class of work wait."""
        self._levels: dict[str, float] = {}
        self._base = 0.0
        """The level of a worker that nothing was picked for yet."""
        self.find_able: Callable[[Needs], Iterable[str]] = lambda needs: (_ONLY,)
        """Names the workers that may take an image, with room or without."""
        self.price_load_of: Callable[[str], int] = lambda model: 0
        """Says what loading a model costs, by its name."""
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

    def push_back(self, image_id: str, needs: Needs | None = None) -> None:
        """Return an image in flight to the head of its owner's line (its worker was lost) and undo its charge.

        `needs`: what it needs from now on, where that has changed.
        """
        waiting = self._in_flight.pop(image_id)
        guild = self._guild(waiting.guild_id)
        guild.num_in_flight -= 1
        guild.charge(waiting, -waiting.charged)
        waiting = replace(waiting, load=0, needs=waiting.needs if needs is None else needs)
        self._enter(waiting, first=True, lift=False)

    def pick(self, choose: Choose = _anywhere) -> Waiting | None:
        """Hand out the next image in fair order that a worker has room for, and charge it; None when there is none.

        O(log n) amortised, as long as all images that wait may be taken; else it passes guilds over one by one.
        """
        places = self._find_places(choose)
        guild_id = self._first(self._eligible, places)
        return None if guild_id is None else self._hand_out(guild_id, places)

    def pick_newcomer(self, choose: Choose = _anywhere) -> Waiting | None:
        """Hand out an image of a guild that has none in flight, if no guild that could be picked has a smaller counter.

        For a worker that is full but can hold one more: it is what lets a light guild feel alone. It picks among
        equals only, so the bound stands.
        """
        places = self._find_places(choose)
        guild_id, rival = self._first(self._newcomers, places), self._first(self._eligible, places)
        if guild_id is None or rival is None or self._guilds[guild_id].counter > self._guilds[rival].counter:
            return None
        return self._hand_out(guild_id, places)

    def is_newcomer(self, waiting: Waiting) -> bool:
        """Return whether an image in flight is the only one of its guild."""
        return self._guild(waiting.guild_id).num_in_flight == 1

    def _find_places(self, choose: Choose) -> dict[Needs, str]:
        """Return a worker with room for each class of work that waits; classes without are left out."""
        found = ((needs, choose(needs)) for needs in self._classes)
        return {needs: name for needs, name in found if name is not None}

    def _first(self, heap: CounterHeap, places: Mapping[Needs, str]) -> int | None:
        if not places or len(places) == len(self._classes):
            return heap.first() if places else None
        return next((each for each in heap.in_order() if self._guilds[each].find(places) is not None), None)

    def _hand_out(self, guild_id: int, places: Mapping[Needs, str]) -> Waiting:
        guild = self._guilds[guild_id]
        waiting = guild.pop() if len(places) == len(self._classes) else guild.take_first(places)
        worker = places[waiting.needs]
        self._levels[worker] = max(self._levels.get(worker, self._base), guild.counter)
        self._forget(waiting)
        self._in_flight[waiting.image_id] = waiting
        guild.num_in_flight += 1
        guild.charge(waiting, waiting.cost)
        self._refresh(guild)
        return waiting

    def charge_load(self, image_id: str, *, payer: int) -> None:
        """Charge a guild for the model that is loaded for an image just handed out: see `scheduling.swaps`."""
        waiting, guild = self._in_flight[image_id], self._guild(payer)
        units = self.price_load_of(waiting.needs.model)
        if payer == waiting.guild_id:
            self._in_flight[image_id] = replace(waiting, load=units)
            guild.charge(waiting, units)
        else:
            guild.counter += units / guild.weight
        self._refresh(guild)

    def settle(self, image_id: str, true_cost: int) -> None:
        """Correct the charge of an image in flight that ended and cost `true_cost` (0 for one that was refunded)."""
        waiting = self._in_flight.pop(image_id)
        guild = self._guild(waiting.guild_id)
        guild.num_in_flight -= 1
        guild.charge(waiting, true_cost - waiting.cost)
        self._refresh(guild)

    def cancel(self, image_id: str) -> Waiting | None:
        """Take a waiting image out of line, uncharged. None if it does not wait here. O(log n)."""
        waiting = self._where.get(image_id)
        if waiting is not None:
            self._forget(waiting)
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
        """Yield the waiting images in the order they will be picked if nothing else arrives. O(n log n) for all."""
        guilds = self._guilds
        return self._eligible.run_ahead(lambda of: guilds[of].forecast(), lambda of, one: one.cost / guilds[of].weight)

    def counters(self) -> dict[int, float]:
        """Return every guild's counter, to keep over a restart: an idle guild's as lifted on its return.

        What is in flight counts as not charged: a restart puts it back in line.
        """
        charged = {guild_id: guild.counter for guild_id, guild in self._guilds.items()}
        for waiting in self._in_flight.values():
            charged[waiting.guild_id] -= waiting.charged / self._guilds[waiting.guild_id].weight
        for guild_id, guild in self._guilds.items():
            if not guild.is_active:
                charged[guild_id] = max(charged[guild_id], max(self._levels.values(), default=self._base))
        return {guild_id: counter for guild_id, counter in charged.items() if counter > 0}

    def restore(self, counters: Mapping[int, float], waiting: Iterable[Waiting]) -> None:
        """Take up the counters and the line of an earlier run, oldest first: no one's share changes, so no lifts.

        Members start level: among those who wait, counters never part by more than one charge.
        """
        for guild_id, counter in counters.items():
            self._guild(guild_id).counter = counter
        self._base = min(counters.values(), default=0.0)
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
            guild.counter = max(guild.counter, self._find_level(waiting.needs))
        self._where[waiting.image_id] = waiting
        self._classes[waiting.needs] += 1
        guild.push(waiting, first=first)
        self._refresh(guild)

    def _find_level(self, needs: Needs) -> float:
        """Return what the counter of a guild is at least that comes with an image of these needs."""
        able = [self._levels[name] for name in self.find_able(needs) if name in self._levels]
        return max(able or self._levels.values(), default=self._base)

    def _forget(self, waiting: Waiting) -> None:
        """Note that an image no longer waits."""
        del self._where[waiting.image_id]
        self._classes[waiting.needs] -= 1
        if not self._classes[waiting.needs]:
            del self._classes[waiting.needs]

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
            self._base = max(self._base, guild.counter, *self._levels.values())
            self._levels.clear()
