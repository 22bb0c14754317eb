"""Where a live job stands in line and when it will be done, kept up to date once a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from generation.fair_queue import FairQueue
from generation.job import Status
from generation.live import LiveImage, LiveJob, LiveJobs
from generation.pace import Pace
from generation.waits import Ahead, Experience, play

_AGE_S = 1.0
_SHORT_LINE = 200
"""Up to so many waiting images a new job's place is worked out at once rather than with the next second's."""


class Forecast:
    """Plays the line through (`generation.waits`) and remembers how that compared with what came."""

    def __init__(self, jobs: LiveJobs, queue: FairQueue, pace: Pace) -> None:
        self._jobs, self._queue, self._pace = jobs, queue, pace
        self._experience = Experience()
        self._places: dict[str, int] = {}
        self._ends_at_s: dict[str, float] = {}
        self._made_at_s = float("-inf")

    def refresh(self, live_job: LiveJob, *, making: Collection[str], first: Sequence[str], slots: int) -> None:
        """Work out all places and ends anew, if a second has passed or `live_job` is new in a short line.

        `making` are the ids of the images at the worker, `first` those that go before the line.
        """
        now_s = time.monotonic()
        waits = (image_id for image_id, live in live_job.images.items() if live.image.status is Status.WAITING)
        is_new = any(image_id not in self._places for image_id in waits)
        if now_s - self._made_at_s < _AGE_S and not (is_new and len(self._queue) < _SHORT_LINE):
            return
        self._made_at_s = now_s
        line = [*first, *(each.image_id for each in self._queue.forecast())]
        self._places = {image_id: place for place, image_id in enumerate(line)}
        residents = [self._ahead(image_id) for image_id in making]
        ends = play(residents, [self._ahead(each) for each in line], slots=slots, pace=self._pace)
        self._ends_at_s = {image_id: now_s + self._experience.corrected(span) for image_id, span in ends.items()}
        for image_id, span in ends.items():
            self._jobs.image(image_id).played.setdefault("at_s", now_s)
            self._jobs.image(image_id).played.setdefault("span_s", span)

    def place(self, waiting: Collection[str]) -> int | None:
        """Images that will be started before the first of `waiting`; None when none of them is in line."""
        return min((self._places[each] for each in waiting if each in self._places), default=None)

    def wait_s(self, image_ids: Collection[str]) -> float | None:
        """Seconds until the last of them is done; None before anything was measured."""
        ends = [self._ends_at_s[each] for each in image_ids if each in self._ends_at_s]
        return max(0.0, max(ends) - time.monotonic()) if ends else None

    def learn(self, live: LiveImage) -> None:
        """An image is done: was it as foreseen?"""
        if live.played:
            self._experience.learn(live.played["span_s"], time.monotonic() - live.played["at_s"])

    def _ahead(self, image_id: str) -> Ahead:
        live, owner = self._jobs.image(image_id), self._jobs.of_image(image_id).job.owner
        evaluations = max(1, live.image.spec.num_evaluations)
        return Ahead(
            image_id,
            owner.guild_id,
            owner.user_id,
            weight=self._queue.share_of(owner.guild_id)[0],
            units=live.image.reserved / evaluations,
            left=max(1.0, float(evaluations - live.done)),
        )
