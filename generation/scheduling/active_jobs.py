"""Jobs that have not ended, as the bot holds them in memory, and the view that users get of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from generation import metrics, tracing
from generation.jobs.job import Image, Job, Outcome, Status, split_image_id
from generation.jobs.protocol import Progress
from generation.requests.cost import BY_PIXELS, Work, compute_evaluations_cost, image_cost
from generation.scheduling.wait_simulation import PredictedWait


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job at one moment, for showing. Times in seconds."""

    job: Job
    progress: float
    """How much of the whole job is painted, 0 to 1."""
    images_ahead: int | None = None
    """Images that will be started before this job's next one; None when none of its images waits."""
    wait_s: float | None = None
    """Expected time until the whole job is done; None before anything was measured, and while it has to wait for
    the worker to go on."""
    preview: bytes | None = None
    """A small JPEG of the unfinished picture, if there is one."""


@dataclass(slots=True)
class ActiveImage:
    """One image that has not ended: the only mutable record of it, owned by the service."""

    image: Image
    trace: str | None = None
    """That it follows, if it is a replay."""
    work: Work = BY_PIXELS
    """Of its model."""
    done: int = 0
    losses: int = 0
    """Workers lost while they held it, in this run of the bot."""
    lost_at: frozenset[str] = frozenset()
    """Which those were."""
    cancel_asked: bool = False
    foreseen: PredictedWait | None = None
    """What its wait was first expected to be."""
    painted_at_s: float | None = None
    """When it left the worker (monotonic): what the disk and the database take then is not painting."""
    preview: bytes | None = None
    queued_at_s: float = field(default_factory=time.monotonic)
    """When this process put it in line (monotonic)."""
    taken_at_s: float | None = None
    """When a worker first took it (monotonic)."""
    waits_since_s: float = field(default_factory=time.monotonic)
    """When it last came in line (monotonic)."""
    held_since_s: float | None = None
    """When the worker that holds it took it (monotonic)."""
    stepped_at_s: float | None = None
    """When that worker last got on with it (monotonic)."""

    def advance(self, event: Progress, member: str) -> None:
        """Note what a worker reports of it."""
        metrics.count_step(member, max(0, event.done - self.done), rows=event.rows, capacity=event.capacity_rows)
        self.done, self.stepped_at_s = event.done, time.monotonic()

    def note_taken(self, attempt: int) -> None:
        """Note that a worker takes it now."""
        self.held_since_s, self.stepped_at_s = time.monotonic(), None
        self.taken_at_s = self.taken_at_s or self.held_since_s
        self._trace("queued", self.waits_since_s, attempt=attempt)

    def note_return(self) -> None:
        """Note that it waits again."""
        self._trace("painted", self.held_since_s, outcome="lost")
        self.waits_since_s, self.held_since_s, self.painted_at_s = time.monotonic(), None, None

    def _trace(self, stage: str, began_s: float | None, ended_s: float | None = None, **facts: str | int) -> None:
        tracing.record(self.image.job_id, stage, began_s, ended_s, image=self.image.index, **facts)

    def count_end(self, outcome: Outcome) -> None:
        """Count its end, by how long it took."""
        now_s = time.monotonic()
        if self.held_since_s is None:
            self._trace("queued", self.waits_since_s, outcome=outcome.status)
        elif self.painted_at_s is not None:
            stepped_s = self.stepped_at_s or self.painted_at_s
            self._trace("painted", self.held_since_s, stepped_s, steps=self.done)
            self._trace("checked", stepped_s, self.painted_at_s)
            self._trace("stored", self.painted_at_s, outcome=outcome.status)
        wait_s = (self.taken_at_s or now_s) - self.queued_at_s
        metrics.count_end(outcome.status, wait_s=wait_s, whole_s=now_s - self.queued_at_s, error=outcome.error)

    @property
    def units_done(self) -> int:
        return self.cost_of(self.done)

    def cost_of(self, evaluations: int) -> int:
        """Return the cost units of so many model evaluations; 0 of none."""
        if not evaluations:
            return 0
        return compute_evaluations_cost(self.image.spec, evaluations, self.trace, work=self.work)

    def charge_for(self, evaluations: int) -> int:
        """Return what so many model evaluations are charged, as part of what was reserved.

        That may have been by an older table of prices, if the job was accepted by an older release.
        """
        whole = image_cost(self.image.spec, self.trace, work=self.work)
        return min(self.image.reserved, self.image.reserved * self.cost_of(evaluations) // whole)

    @property
    def progress(self) -> float:
        if self.image.status.is_end:
            return 1.0
        return min(1.0, self.done / max(1, self.image.spec.num_evaluations))


@dataclass(slots=True)
class ActiveJob:
    """A job that has not ended, with its images."""

    job: Job
    images: dict[str, ActiveImage]
    ended: asyncio.Future[Job] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @classmethod
    def of(cls, job: Job, work_of: Callable[[str], Work]) -> ActiveJob:
        trace = job.request.replay.trace if job.request.replay else None
        going = (image for image in job.images if not image.status.is_end)
        return cls(job, {image.id: ActiveImage(image, trace, work_of(image.spec.model)) for image in going})

    def started(self, image_id: str, attempt: int) -> None:
        self.images[image_id].note_taken(attempt)
        self._update(image_id, status=Status.RUNNING, attempt=attempt)

    def waits_again(self, image_id: str) -> None:
        live = self.images[image_id]
        live.done, live.preview = 0, None
        live.note_return()
        self._update(image_id, status=Status.WAITING)

    def record_end(self, image_id: str, outcome: Outcome) -> None:
        self.images[image_id].count_end(outcome)
        self._update(
            image_id,
            status=outcome.status,
            charged=outcome.charged,
            recipe=outcome.recipe,
            file_sha256=outcome.file_sha256,
            error=outcome.error,
            judgement=outcome.judgement,
        )

    @property
    def progress(self) -> float:
        ended = sum(image.status.is_end for image in self.job.images if image.id not in self.images)
        return (ended + sum(live.progress for live in self.images.values())) / len(self.job.images)

    @property
    def preview(self) -> bytes | None:
        return next((live.preview for live in self.images.values() if live.preview), None)

    def _update(self, image_id: str, **changes: object) -> None:
        live = self.images[image_id]
        live.image = replace(live.image, **changes)  # type: ignore[arg-type]
        images = tuple(live.image if image.id == image_id else image for image in self.job.images)
        self.job = replace(self.job, images=images)


class ActiveJobs:
    """Every job that has not ended, oldest first. `work_of` tells the work of a model by its name."""

    def __init__(self, work_of: Callable[[str], Work] = lambda model: BY_PIXELS) -> None:
        self._work_of = work_of
        self._jobs: dict[str, ActiveJob] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[ActiveJob]:
        return iter(self._jobs.values())

    def add(self, job: Job) -> ActiveJob:
        live_job = self._jobs[job.id] = ActiveJob.of(job, self._work_of)
        return live_job

    def compute_oldest_s(self) -> float:
        """Return how long the oldest job is here, in seconds; 0 without one."""
        oldest = next(iter(self._jobs.values()), None)
        ages = [time.monotonic() - each.queued_at_s for each in oldest.images.values()] if oldest is not None else []
        return max(ages, default=0.0)

    def get(self, job_id: str) -> ActiveJob | None:
        return self._jobs.get(job_id)

    def of_image(self, image_id: str) -> ActiveJob:
        """Return the live job of an image. Raise `KeyError` if it has none."""
        return self._jobs[split_image_id(image_id)[0]]

    def image(self, image_id: str) -> ActiveImage:
        return self.of_image(image_id).images[image_id]

    def remove(self, job_id: str) -> None:
        del self._jobs[job_id]
        tracing.end(job_id)
