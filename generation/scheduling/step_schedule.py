"""Chooses the residents of the next forward. Pure: no clock, no tensors; decided by the order of the calls.

Algorithm: weighted virtual counters (as in the fair queue) per guild, and inside a guild per member, charged for
every *step*. The guild with the lowest counter leads, in it the member with the lowest; their oldest image sets the
key of the forward; the free rows go, one image at a time, to the guild with the lowest counter that has an image of
that key, and in it to the member with the lowest, oldest first. Who enters, or returns, is lifted to the lowest
counter among its rivals and wins ties, so a newcomer's first step is the very next one. Who got a seat for every
image it has, as light guilds do, may fall behind by what one forward holds, b u; beyond that it is lifted too: having
asked for little earns no claim to more later.
The counters an order carries only break the ties among newcomers: they already hold the whole price of images in
flight, and a newcomer lifted to such a counter would stand behind everyone it should stand beside.

Staying on a key is worth something (no weights to swap), so the leader may be passed over for the key of the last
forward as long as the best guild of that key is at most `quantum` (cost over weight) ahead of it. When the model
changes all the same, the leader whose image asks for it pays what `price_swap` says of it on top of its step.

Bound. Take two guilds over an interval in which, at every forward, each has an image that is left out. Let u be the
largest charge of one evaluation, s that of a swap, b the images a forward holds, w the smallest weight. If all images
have one key, every seat goes to the lowest counter, so from then on their counters part by at most u / w. With several
keys a guild may fill a forward that the other cannot sit in, b u / w, before the other leads; staying adds `quantum`, a
swap its charge; and each may enter the interval with a credit of b u. So, if weights are at most 1 or credits are
counted in full,

    | service(f) / weight(f) - service(g) / weight(g) |  <=  2 ((b u + s) / w + b u + quantum)

A replay runs alone (its buckets are prescribed): a forward of one image, which is charged all rows of its bucket, at
most b u. That changes none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol, TypeVar

from generation.jobs.protocol import GenerateCommand
from generation.scheduling.fair_counters import FairCounters


class Resident(Protocol):
    """What the schedule must know of an image. `serial` rises with admission; `charge` is one evaluation's cost."""

    @property
    def order(self) -> GenerateCommand: ...
    @property
    def serial(self) -> int: ...
    @property
    def key(self) -> Hashable: ...
    @property
    def rows(self) -> int: ...
    @property
    def charge(self) -> float: ...
    @property
    def next_bucket(self) -> int | None: ...


R = TypeVar("R", bound=Resident)


class StepSchedule:
    """Fair choice of the images to step. See the module's text for the algorithm and its bound."""

    def __init__(self, *, quantum: float = 0.0, price_swap: Callable[[Resident], float] = lambda leader: 0.0) -> None:
        """`price_swap`: what it costs to put the model of an image in the place of another."""
        self._quantum = quantum
        self._price_swap = price_swap
        self._guilds = FairCounters()
        self._members = FairCounters()
        self._turn = 0
        self._key: Hashable = None
        self._model: str | None = None

    def enter(self, resident: Resident) -> None:
        """Add an image that may be picked."""
        self._guilds.enter(_guild(resident))
        self._members.enter(_member(resident))

    def leave(self, resident: Resident) -> None:
        """Remove an image that has ended."""
        self._guilds.leave(_guild(resident))
        self._members.leave(_member(resident))

    def pick(
        self,
        residents: Iterable[R],
        max_rows: Callable[[R], int],
        *,
        may_lead: Callable[[R], bool] = lambda leader: True,
    ) -> list[R]:
        """Return the images of the next forward, in row order, charged for it; `max_rows(leader)` rows at most.

        None, and no charge, if the leader may not run now: the next one waits, and is not passed over.
        """
        waiting = list(residents)
        leader = self._choose_leader(waiting) if waiting else None
        if leader is None or not may_lead(leader):
            return []
        self._turn += 1
        rows = leader.rows if leader.next_bucket is not None else max_rows(leader)
        picked = [leader]
        self._compute_charge(leader, leader.charge + self._swap_to(leader))
        picked.extend(self._fill(waiting, leader, rows - leader.rows))
        self._level_content(waiting, picked, credit=leader.charge * rows / leader.rows)
        return picked

    def _swap_to(self, leader: Resident) -> float:
        """Change to the leader's key; return what that costs on top of the step."""
        before, self._model, self._key = self._model, leader.order.spec.model, leader.key
        return self._price_swap(leader) if before not in (None, self._model) else 0.0

    def _level_content(self, waiting: Iterable[R], picked: Iterable[R], *, credit: float) -> None:
        """Limit the unused claim of those of whom nothing was left out."""
        seated = {id(each) for each in picked}
        left_out = [each for each in waiting if id(each) not in seated]
        for claims, key in ((self._guilds, _guild), (self._members, _member)):
            wanting = {key(each) for each in left_out}
            claims.level({key(each) for each in picked} - wanting, wanting, credit=credit)

    def _choose_leader(self, waiting: list[R]) -> R:
        leader = min(waiting, key=self._place)
        staying = min((each for each in waiting if each.key == self._key), key=self._place, default=leader)
        return staying if self._get_counter(staying) <= self._get_counter(leader) + self._quantum else leader

    def _fill(self, waiting: list[R], leader: R, free_rows: int) -> Iterator[R]:
        rest = [each for each in waiting if each.key == leader.key and each is not leader and each.next_bucket is None]
        while fitting := [each for each in rest if each.rows <= free_rows]:
            chosen = min(fitting, key=self._place)
            rest.remove(chosen)
            free_rows -= chosen.rows
            self._compute_charge(chosen, chosen.charge)
            yield chosen

    def _place(self, resident: Resident) -> tuple[float, int, float, int, float, int, int]:
        """Return the sort key: guild first (its id separates ties), then member, then age."""
        share = resident.order.share
        by_guild, by_member = self._guilds.place(_guild(resident)), self._members.place(_member(resident))
        return (*by_guild, share.counter, share.guild_id, *by_member, resident.serial)

    def _get_counter(self, resident: Resident) -> float:
        return self._guilds.place(_guild(resident))[0]

    def _compute_charge(self, resident: Resident, charge: float) -> None:
        share = resident.order.share
        self._guilds.charge(_guild(resident), charge / share.weight, turn=self._turn)
        self._members.charge(_member(resident), charge / share.boost, turn=self._turn)


def _guild(resident: Resident) -> tuple[int, ...]:
    return (resident.order.share.guild_id,)


def _member(resident: Resident) -> tuple[int, ...]:
    return resident.order.share.guild_id, resident.order.share.user_id
