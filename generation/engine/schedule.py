"""Which residents share the next forward. Pure: no clock, no tensors; decided by the order of the calls.

Algorithm: weighted virtual counters per guild (as in the fair queue), charged for every *step*. The guild with the
lowest counter leads; its oldest image sets the key of the forward; the free rows go, one image at a time, to the
guild with the lowest counter that has an image of that key, oldest first. A guild that enters, or returns, is lifted
to the lowest counter among the residents' guilds and wins ties, so a newcomer's first step is the very next one.
A guild that got a seat for every image it has is lifted to where the last seat went, but not above those who were
left out: having asked for little earns no claim to more later.
The counters an order carries only break the ties among newcomers: they already hold the whole price of images in
flight, and a newcomer lifted to such a counter would stand behind everyone it should stand beside.

Staying on a key is worth something (no weights to swap), so the leader may be passed over for the key of the last
forward as long as the best guild of that key is at most `quantum` (cost over weight) ahead of it. When the model
changes all the same, the leader whose image asks for it pays `swap_charge` on top of its step.

Bound. Take two guilds over an interval in which, at every forward, each has an image that is left out. Let u be the
largest charge of one evaluation and b the images a forward holds. If all images have one key, every seat goes to the
lowest counter, so their counters never part by more than u / (smallest weight), and the service differs by at most
twice that. With several keys a guild may fill a forward that the other cannot sit in, b u / weight, before the other
leads; staying adds `quantum`, a swap its charge:

    | service(f) / weight(f) - service(g) / weight(g) |  <=  2 ((b u + swap_charge) / smallest weight + quantum)

A replay runs alone (its buckets are prescribed), which is a forward of one image and changes none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol, TypeVar

from generation.order import Order


class Resident(Protocol):
    """What the schedule must know of an image. `serial` rises with admission; `charge` is one evaluation's cost."""

    @property
    def order(self) -> Order: ...
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

    def __init__(self, *, quantum: float = 0.0, swap_charge: float = 0.0) -> None:
        self._quantum = quantum
        self._swap_charge = swap_charge
        self._counters: dict[int, float] = {}
        self._last_turn: dict[int, int] = {}
        self._num_images: dict[int, int] = {}
        self._turn = 0
        self._key: Hashable = None
        self._model: str | None = None
        self._last_seat = 0.0
        """The counter, before its charge, of the guild that got the last seat."""

    def enter(self, resident: Resident) -> None:
        """An image is there and may be picked."""
        guild_id = resident.order.share.guild_id
        if not self._num_images.get(guild_id):
            floor = min((self._counters[guild] for guild, count in self._num_images.items() if count), default=0.0)
            self._counters[guild_id] = max(self._counters.get(guild_id, 0.0), floor)
            self._last_turn.pop(guild_id, None)
        self._num_images[guild_id] = self._num_images.get(guild_id, 0) + 1

    def leave(self, resident: Resident) -> None:
        """An image has ended, whatever the end. With the last one gone every guild starts level again."""
        self._num_images[resident.order.share.guild_id] -= 1
        if not any(self._num_images.values()):
            self._counters.clear()
            self._last_turn.clear()
            self._num_images.clear()

    def pick(self, residents: Iterable[R], max_rows: Callable[[R], int]) -> list[R]:
        """The images of the next forward, in row order, charged for it; `max_rows(leader)` rows at most."""
        waiting = list(residents)
        if not waiting:
            return []
        self._turn += 1
        leader = self._choose_leader(waiting)
        picked = [leader]
        self._charge(leader, leader.charge + self._swap_to(leader))
        if leader.next_bucket is None:
            picked.extend(self._fill(waiting, leader, max_rows(leader) - leader.rows))
        self._level_the_content(waiting, picked)
        return picked

    def _swap_to(self, leader: Resident) -> float:
        """Change to the leader's key; what that costs on top of the step."""
        before, self._model, self._key = self._model, leader.order.spec.model, leader.key
        return self._swap_charge if before not in (None, self._model) else 0.0

    def _level_the_content(self, waiting: Iterable[Resident], picked: Iterable[Resident]) -> None:
        """Guilds of which nothing was left out have no claim left over from this forward."""
        seated = {id(each) for each in picked}
        left_out = {each.order.share.guild_id for each in waiting if id(each) not in seated}
        level = min([self._last_seat, *(self._counters[guild_id] for guild_id in left_out)])
        for guild_id in {each.order.share.guild_id for each in picked} - left_out:
            self._counters[guild_id] = max(self._counters[guild_id], level)

    def _choose_leader(self, waiting: list[R]) -> R:
        leader = min(waiting, key=self._place)
        staying = min((each for each in waiting if each.key == self._key), key=self._place, default=leader)
        return staying if self._counter(staying) <= self._counter(leader) + self._quantum else leader

    def _fill(self, waiting: list[R], leader: R, free_rows: int) -> Iterator[R]:
        rest = [each for each in waiting if each.key == leader.key and each is not leader and each.next_bucket is None]
        while fitting := [each for each in rest if each.rows <= free_rows]:
            chosen = min(fitting, key=self._place)
            rest.remove(chosen)
            free_rows -= chosen.rows
            self._charge(chosen, chosen.charge)
            yield chosen

    def _place(self, resident: Resident) -> tuple[float, int, float, int]:
        share = resident.order.share
        last_turn = self._last_turn.get(share.guild_id, -1)
        return self._counter(resident), last_turn, share.counter, resident.serial

    def _counter(self, resident: Resident) -> float:
        return self._counters[resident.order.share.guild_id]

    def _charge(self, resident: Resident, charge: float) -> None:
        share = resident.order.share
        self._last_seat = self._counters[share.guild_id]
        self._counters[share.guild_id] += charge / share.weight
        self._last_turn[share.guild_id] = self._turn
