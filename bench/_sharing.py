"""Ways of sharing a machine, simulated side by side: ours from its real parts, FIFO, and a picture in turn.

One tick is one forward pass that advances up to `forward` images of one key by a step. Ours: `FairQueue` admits, the
engine's `StepSchedule` steps. The peers step what they admitted, oldest first; they hold as many images resident as
ours, and fill a forward with whatever has the key of the oldest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from generation.jobs.protocol import GenerateCommand
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.placement import Needs
from generation.scheduling.step_schedule import StepSchedule

NEWCOMER_FACTOR = 2
"""As in the service: how far beyond its slots a worker is filled with newcomers."""


@dataclass(slots=True)
class Picture:
    """An image in the simulation; also what the engine's schedule must know of a resident."""

    image_id: str
    guild_id: int
    user_id: int
    steps: int
    arrived: tuple[int, float]
    """In forwards, and in time."""
    order: GenerateCommand
    serial: int = 0
    left: int = 0
    key: tuple[str, str] = ("one model", "one shape")
    rows: int = 2
    charge: float = 1.0
    next_bucket: int | None = None

    @property
    def cost(self) -> int:
        """What all of it is charged."""
        return round(self.steps * self.charge)


class Policy(Protocol):
    """Admission and stepping, as one way of sharing."""

    def arrive(self, picture: Picture) -> None: ...
    def tick(self) -> list[Picture]:
        """Advance; return the pictures that got a step in this forward. All have one key."""

    def backlogged(self) -> set[int]:
        """Return the guilds with anything waiting or resident."""


class Ours:
    """The parts of the real system, joined as the service and the engine join them.

    `slots` images are resident; one that was picked reaches the engine `delay` forwards later, as over a real wire.
    """

    def __init__(
        self,
        forward: int,
        weights: Mapping[int, float],
        *,
        slots: int = 0,
        delay: int = 0,
        quantum: float = 0.0,
        swap_charge: float = 0.0,
    ) -> None:
        self._queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
        self._schedule = StepSchedule(quantum=quantum, price_swap=lambda leader: swap_charge)
        self._forward, self._slots = forward, slots or 2 * forward
        self._waiting: dict[str, Picture] = {}
        self._residents: dict[str, Picture] = {}
        self._underway: deque[list[Picture]] = deque([[] for _ in range(delay)])
        self._num_taken = 0
        for guild_id, weight in weights.items():
            self._queue.set_weight(guild_id, weight)

    def arrive(self, picture: Picture) -> None:
        self._waiting[picture.image_id] = picture
        owner, needs = (picture.guild_id, picture.user_id), Needs(model=picture.key[0])
        self._queue.push(Waiting(picture.image_id, *owner, picture.cost, needs=needs))

    def tick(self) -> list[Picture]:
        self._admit()
        stepped = self._schedule.pick(self._residents.values(), lambda leader: 2 * self._forward)
        for picture in stepped:
            picture.left -= 1
            if picture.left == 0:
                del self._residents[picture.image_id]
                self._num_taken -= 1
                self._schedule.leave(picture)
                self._queue.settle(picture.image_id, picture.cost)
        return stepped

    def backlogged(self) -> set[int]:
        underway = (picture for batch in self._underway for picture in batch)
        return {each.guild_id for each in (*self._waiting.values(), *self._residents.values(), *underway)}

    def _admit(self) -> None:
        picked: list[Picture] = []
        while (waiting := self._next()) is not None:
            self._num_taken += 1
            picked.append(self._waiting.pop(waiting.image_id))
        self._underway.append(picked)
        for picture in self._underway.popleft():
            self._residents[picture.image_id] = picture
            self._schedule.enter(picture)

    def _next(self) -> Waiting | None:
        if self._num_taken < self._slots:
            return self._queue.pick()
        return self._queue.pick_newcomer() if self._num_taken < NEWCOMER_FACTOR * self._slots else None


class Fifo:
    """First come, first served."""

    def __init__(self, forward: int) -> None:
        self._forward = forward
        self._line: deque[Picture] = deque()
        self._residents: list[Picture] = []

    def arrive(self, picture: Picture) -> None:
        self._line.append(picture)

    def tick(self) -> list[Picture]:
        while len(self._residents) < 2 * self._forward and (picture := self._next()) is not None:
            self._residents.append(picture)
        stepped = _of_one_key(self._residents)[: self._forward]
        for picture in stepped:
            picture.left -= 1
        self._residents = [picture for picture in self._residents if picture.left]
        return stepped

    def backlogged(self) -> set[int]:
        return {each.guild_id for each in (*self._line, *self._residents)}

    def _next(self) -> Picture | None:
        return self._line.popleft() if self._line else None


class CountRoundRobin(Fifo):
    """One picture per guild in turn, whatever its cost."""

    def __init__(self, forward: int) -> None:
        super().__init__(forward)
        self._lines: dict[int, deque[Picture]] = {}
        self._turns: deque[int] = deque()

    def arrive(self, picture: Picture) -> None:
        line = self._lines.setdefault(picture.guild_id, deque())
        if not line:
            self._turns.append(picture.guild_id)
        line.append(picture)

    def backlogged(self) -> set[int]:
        return {*self._turns, *(each.guild_id for each in self._residents)}

    def _next(self) -> Picture | None:
        if not self._turns:
            return None
        guild_id = self._turns.popleft()
        picture = self._lines[guild_id].popleft()
        if self._lines[guild_id]:
            self._turns.append(guild_id)
        return picture


def _of_one_key(residents: Iterable[Picture]) -> list[Picture]:
    every = list(residents)
    return [each for each in every if each.key == every[0].key]
