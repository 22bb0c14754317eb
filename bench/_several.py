"""Several workers behind one line, simulated: the queue, placement and members are the real ones; painting is not.

A tick is one forward of the fastest worker. One of speed 3 takes three ticks for a forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import cast

from bench._sharing import Picture
from generation.jobs.ports import Worker
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.members import Members, MemberState
from generation.scheduling.placer import Placer
from generation.scheduling.step_schedule import StepSchedule
from generation.scheduling.worker_pool import Member, WorkerPool

TICK_S = 0.2


class _Card:
    """As much of a `Worker` as placement looks at, and the images that step there."""

    loaded_models = ()
    largest_px: Mapping[str, int] = {}
    fingerprint = None

    def __init__(self, num_slots: int, ticks: int) -> None:
        self.num_slots, self.ticks = num_slots, ticks
        self.model_sha256: Mapping[str, str] = {}
        self.schedule = StepSchedule()
        self.residents: dict[str, Picture] = {}


class Several:
    """Ours, with a worker for each of `speeds`: so many ticks does its forward take."""

    def __init__(self, forward: int, weights: Mapping[int, float], speeds: Sequence[int]) -> None:
        self._forward, self._now = forward, 0
        self._queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
        for guild_id, weight in weights.items():
            self._queue.set_weight(guild_id, weight)
        self._cards = {f"card {number}": _Card(forward + forward // 4, ticks) for number, ticks in enumerate(speeds)}
        pool = WorkerPool(
            Member(name=name, worker=cast(Worker, card), device=name) for name, card in self._cards.items()
        )
        self._members = Members(pool, clock=lambda: self._now * TICK_S)
        self._placer = Placer(self._queue, self._members)
        self._waiting: dict[str, Picture] = {}
        self.charges = Charges(weights)

    def arrive(self, picture: Picture) -> None:
        self._waiting[picture.image_id] = picture
        self._queue.push(Waiting(picture.image_id, picture.guild_id, picture.user_id, picture.cost))

    def tick(self) -> list[Picture]:
        self._now += 1
        while (picked := self._next()) is not None:
            picture, name = picked
            self._cards[name].residents[picture.image_id] = picture
            self._cards[name].schedule.enter(picture)
        return [picture for state in self._members for picture in self._step(state)]

    def backlogged(self) -> set[int]:
        residents = (picture for card in self._cards.values() for picture in card.residents.values())
        return {each.guild_id for each in (*self._waiting.values(), *residents)}

    def _next(self) -> tuple[Picture, str] | None:
        """Hand out the next picture there is room for, and say where to."""
        picked = self._pick()
        if picked is None:
            return None
        image_id, state = picked
        self._members.take(state, image_id, 1, "")
        picture = self._waiting.pop(image_id)
        self.charges.note(picture.guild_id, picture.cost, {each.guild_id for each in self._waiting.values()})
        return picture, state.name

    def _pick(self) -> tuple[str, MemberState] | None:
        placed = self._placer.next()
        return None if placed is None else (placed[0].image_id, placed[1])

    def _settle(self, picture: Picture) -> None:
        self._queue.settle(picture.image_id, picture.cost)

    def _step(self, state: MemberState) -> Iterator[Picture]:
        """Run a forward of one worker, if one ends now."""
        card = self._cards[state.name]
        if self._now % card.ticks:
            return
        for picture in card.schedule.pick(card.residents.values(), lambda leader: 2 * self._forward):
            picture.left -= 1
            state.pace.progressed(picture.image_id, picture.charge, now_s=self._now * TICK_S)
            if not picture.left:
                del card.residents[picture.image_id]
                card.schedule.leave(picture)
                self._members.release(picture.image_id)
                self._settle(picture)
            yield picture


class SeveralFifo(Several):
    """First come, first served, to the worker that holds least."""

    def arrive(self, picture: Picture) -> None:
        self._waiting[picture.image_id] = picture

    def _pick(self) -> tuple[str, MemberState] | None:
        free = [each for each in self._members if each.load < each.num_slots]
        return (next(iter(self._waiting)), min(free, key=lambda each: each.load)) if free and self._waiting else None

    def _settle(self, picture: Picture) -> None:
        pass


class Charges:
    """The largest difference, over weight, of what two guilds were charged while both had pictures waiting."""

    def __init__(self, weights: Mapping[int, float]) -> None:
        self._weights = weights
        self._ranges = dict.fromkeys(combinations(sorted(weights), 2), (0.0, 0.0, 0.0))
        self.gap = 0.0

    def note(self, guild_id: int, units: int, waiting: set[int]) -> None:
        """Record what a guild was charged as a picture was handed out; `waiting`: the guilds that have more."""
        charged = units / self._weights.get(guild_id, 1.0)
        for pair, (now, low, high) in self._ranges.items():
            if not waiting.issuperset(pair):
                self._ranges[pair] = (0.0, 0.0, 0.0)
            elif guild_id in pair:
                now += charged if guild_id == pair[0] else -charged
                self._ranges[pair] = (now, min(low, now), max(high, now))
                self.gap = max(self.gap, max(high, now) - min(low, now))
