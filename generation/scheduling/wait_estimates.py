"""Estimates of a live job's place in line and its end, kept up to date about once a second.

In a line of thousands all places are worked out, in one go; the waits only of those at its head. Who is behind them
is derived from the place, on request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from generation.scheduling.active_jobs import ActiveImage, ActiveJob, ActiveJobs
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.placement import Needs
from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_simulation import (
    MAX_PLAYED,
    Ahead,
    Company,
    PredictedWait,
    Server,
    WaitCorrection,
    play,
    seconds_each,
)

_AGE_S = 1.0
_REST = 50
"""Working it out may take one part in so many of the time: in a very long line, or when many jobs come at once, it is
done more rarely."""
_SHORT_LINE = 200
"""Up to so many waiting images a new job's place is worked out at once, if it may be, rather than with the next
second's."""


class Station(NamedTuple):
    """A worker as it is now, with the ids of the images that it holds."""

    name: str
    making: Collection[str]
    slots: int
    pace: Throughput


class WaitEstimates:
    """Simulates the line (`generation.scheduling.wait_simulation`) and remembers how that compared with what came.

    A wait that was interrupted (see `Throughput`) is expected again when painting goes on; nothing is learnt of it.
    """

    def __init__(
        self,
        jobs: ActiveJobs,
        queue: FairQueue,
        count_interruptions: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs, self._queue, self._clock = jobs, queue, clock
        self._count_interruptions = count_interruptions
        self._interruptions = 0
        self._experience = WaitCorrection()
        self._making: tuple[Ahead, ...] = ()
        self._places: dict[str, int] = {}
        self._ends_at_s: dict[str, float] = {}
        self._until_s = self._rests_until_s = float("-inf")
        self._end_of_head = (0.0, 0.0)
        """When the last image of the head will be done (clock), and what each one behind it adds, in seconds."""

    def refresh(self, live_job: ActiveJob, stations: Sequence[Station], *, first: Sequence[str]) -> None:
        """Compute all places and ends, if they are old or `live_job` is new in a short line.

        `first` are the ids of the images that go before the line.
        """
        now_s = self._clock()
        is_new = any(each not in self._places and each in self._queue for each in live_job.images)
        until_s = self._rests_until_s if is_new and len(self._queue) < _SHORT_LINE else self._until_s
        if now_s < until_s and self._interruptions == self._count_interruptions():
            return
        self._interruptions = self._count_interruptions()
        line = list(self._queue.forecast())
        ids = [*first, *(each.image_id for each in line)]
        self._places = {image_id: place for place, image_id in enumerate(ids)}
        head = self._list_head(first, line, {each.name for each in stations})
        servers = [
            Server(name=name, making=[self._ahead(each) for each in making], slots=slots, pace=pace)
            for name, making, slots, pace in stations
        ]
        each_s = seconds_each(head, servers=servers)
        self._making = tuple(each for server in servers for each in server.making)
        ends = play(servers, head)
        self._end_of_head = (now_s + max(ends.values(), default=0.0), each_s)
        self._ends_at_s = {image_id: self._predict_wait(image_id, now_s, span_s) for image_id, span_s in ends.items()}
        self._rests_until_s = now_s + _REST * (self._clock() - now_s)
        self._until_s = max(now_s + _AGE_S, self._rests_until_s)

    def _list_head(self, first: Sequence[str], line: Iterable[Waiting], names: set[str]) -> list[Ahead]:
        """Return the images that are played through, each with the stations that may take it."""
        where: dict[Needs, frozenset[str] | None] = {}
        head = [self._ahead(each) for each in first[:MAX_PLAYED]]
        for each in islice(line, max(0, MAX_PLAYED - len(head))):
            if each.needs not in where:
                able = names.intersection(self._queue.find_able(each.needs))
                where[each.needs] = frozenset(able) if able and able != names else None
            head.append(self._ahead(each.image_id, where[each.needs]))
        return head

    def place(self, waiting: Collection[str]) -> int | None:
        """Return the images that will start before the first of `waiting`; None when none of them is in line."""
        return min((place for each in waiting if (place := self._find_place(each)) is not None), default=None)

    def _find_place(self, image_id: str) -> int | None:
        """Return an image's place in line. One that came since places were worked out counts as the last."""
        place = self._places.get(image_id)
        return len(self._queue) - 1 if place is None and image_id in self._queue else place

    def wait_s(self, image_ids: Collection[str]) -> float | None:
        """Return the seconds until the last of them is done; None before anything was measured."""
        ends = [end for each in image_ids if (end := self._end_at_s(each)) is not None]
        return max(0.0, max(ends) - self._clock()) if ends else None

    def _end_at_s(self, image_id: str) -> float | None:
        known, place = self._ends_at_s.get(image_id), self._find_place(image_id)
        if known is not None or place is None or place < MAX_PLAYED or not self._ends_at_s:
            return known
        end_s, each_s = self._end_of_head
        now_s = self._clock()
        span = max(0.0, end_s - now_s) + (place - MAX_PLAYED + 1) * each_s
        return self._predict_wait(image_id, now_s, span)

    def _predict_wait(self, image_id: str, now_s: float, played_s: float) -> float:
        """Return the time to announce as its end. The first simulated one is compared with its end."""
        company = Company.of(self._making, self._jobs.of_image(image_id).job.owner.guild_id)
        live = self._jobs.image(image_id)
        if live.foreseen is None or live.foreseen.interruptions != self._interruptions:
            live.foreseen = PredictedWait(now_s, played_s, company, self._interruptions)
        return now_s + self._experience.corrected(played_s, company)

    def learn(self, live: ActiveImage) -> None:
        """Compare a finished image's wait with its estimate."""
        seen, done_at_s = live.foreseen, live.painted_at_s or self._clock()
        if seen is not None and seen.interruptions == self._count_interruptions():
            self._experience.learn(seen.played_s, seen.company, done_at_s - seen.at_s)

    def _ahead(self, image_id: str, where: frozenset[str] | None = None) -> Ahead:
        live, owner = self._jobs.image(image_id), self._jobs.of_image(image_id).job.owner
        evaluations = max(1, live.image.spec.num_evaluations)
        return Ahead(
            image_id,
            owner.guild_id,
            owner.user_id,
            weight=self._queue.share_of(owner.guild_id)[0],
            units=live.image.reserved / evaluations,
            left=max(1.0, float(evaluations - live.done)),
            where=where,
        )
