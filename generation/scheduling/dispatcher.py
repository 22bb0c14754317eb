"""Keeps the worker's slots full in fair order, and settles each image at its end.

    FairQueue -> claim -> order -> worker -> events -> sign, store -> settle -> `on_end`

A worker that is lost gives its images back to the line. An image that was lost too often is tried alone, so that if
it is the killer, it kills no one else's work (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence

from generation.errors import FailedError, SourceLostError, WorkerLostError
from generation.failpoints import reached
from generation.images.store import ImageFiles
from generation.jobs.job import Image, Job, Outcome, Status
from generation.jobs.ports import JobStore, Worker
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    ImageFailed,
    Preview,
    Progress,
    Ready,
    WorkerLost,
)
from generation.owner import Owner
from generation.requests.spec import ImageSpec
from generation.retry import retry_write
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs
from generation.scheduling.command_builder import CommandBuilder, FileMissingError
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.outcome_builder import OutcomeBuilder
from generation.scheduling.throughput import Throughput

log = logging.getLogger(__name__)

LOSSES_BEFORE_ALONE = 2
"""After so many lost workers an image is tried alone."""
MAX_LOSSES = 3
_NEWCOMER_FACTOR = 2
"""How far beyond its slots a worker is filled with the images of guilds that have nothing there yet."""
_SETTLING_FACTOR = 4
"""How many pictures beyond its slots may wait for the disk: one that is full must not fill the memory too."""


class Dispatcher:
    """See the module's text. `on_change` hears the id of a job that moved, `on_end` each image that ended; `restore`
    brings back a file that is gone, or says that it cannot; `abandon` is called when no image waits for it any more.
    """

    def __init__(
        self,
        *,
        worker: Worker,
        store: JobStore,
        files: ImageFiles,
        queue: FairQueue,
        jobs: ActiveJobs,
        check_safety: bool,
        lookup_hashes: Callable[[ImageSpec], dict[str, str]],
        restore: Callable[[str, Owner], Awaitable[bool]],
        abandon: Callable[[str], Awaitable[None]],
        on_change: Callable[[str], None],
        on_end: Callable[[ActiveImage, Outcome], None],
    ) -> None:
        self.pace = Throughput()
        self.is_draining = False
        self._is_paused = False
        self._worker, self._store = worker, store
        self._queue, self._jobs = queue, jobs
        self._commands = CommandBuilder(files=files, queue=queue, jobs=jobs, check_safety=check_safety)
        self._outcomes = OutcomeBuilder(worker=worker, files=files, jobs=jobs, lookup_hashes=lookup_hashes)
        self._restore, self._abandon = restore, abandon
        self._on_change, self._on_end = on_change, on_end
        self._at_worker: dict[str, int] = {}
        self._suspects: deque[Waiting] = deque()
        self._suspect_at_work: str | None = None
        self._fileless: dict[str, str] = {}
        """Images that wait for a file which is painted again, and its SHA-256."""
        self._num_settling = 0
        self.trouble: str | None = None
        """Why there is no worker, while there is none."""
        self._wake = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def at_worker(self) -> Collection[str]:
        """Ids of the images that the worker holds."""
        return self._at_worker.keys()

    @property
    def suspects(self) -> Sequence[str]:
        """Ids of the images that wait to be tried alone, before all others."""
        return [each.image_id for each in self._suspects]

    @property
    def is_paused(self) -> bool:
        """Whether nothing new is begun."""
        return self._is_paused

    def pause(self, is_paused: bool) -> None:
        """Begin nothing new, or go on."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self._forget_estimates()
        self._wake.set()

    def wake(self) -> None:
        """Look for work again, because something may have become possible."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._dispatch(), name="dispatch")
            self._tasks.create_task(self._listen(), name="listen")

    async def cancel(self, live: ActiveImage) -> None:
        """Stop an image: at no cost while it waits; at the worker it pays for the steps it took."""
        image_id = live.image.id
        live.cancel_asked = True
        if self._queue.cancel(image_id) or self._drop_suspect(image_id):
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
        elif (attempt := self._at_worker.get(image_id)) is not None:
            await self._worker.cancel(Cancel(image_id=image_id, attempt=attempt))
        elif (sha256 := self._fileless.pop(image_id, None)) is not None:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            if sha256 not in self._fileless.values():
                await self._abandon(sha256)

    # Towards the worker.

    async def _dispatch(self) -> None:
        """Keep the worker's slots full, in fair order."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch: list[Waiting] = []
            while (waiting := self._next(len(self._at_worker) + len(batch))) is not None:
                batch.append(waiting)
            attempts = await asyncio.gather(*(self._claim(waiting) for waiting in batch))  # share one commit
            for waiting, attempt in zip(batch, attempts, strict=True):
                await self._send(waiting, attempt)

    def _next(self, taken: int) -> Waiting | None:
        """Return the next image there is room for.

        A guild without an image at the worker gets a place even beyond the slots: the engine then steps it first, so a
        light guild does not wait for a heavy one's pictures to end.
        """
        slots = self._worker.num_slots
        if not slots or self.is_draining or self._is_paused or self._suspect_at_work is not None:
            return None
        if self._num_settling >= slots * _SETTLING_FACTOR:
            return None
        if self._suspects:
            return None if taken else self._take_suspect()
        if taken < slots:
            return self._queue.pick()
        return self._queue.pick_newcomer() if taken < slots * _NEWCOMER_FACTOR else None

    def _take_suspect(self) -> Waiting:
        suspect = self._suspects.popleft()
        self._suspect_at_work = suspect.image_id
        return suspect

    async def _claim(self, waiting: Waiting) -> int | None:
        attempt = await retry_write(lambda: self._store.claim(waiting.image_id))
        reached("claimed")
        return attempt

    async def _send(self, waiting: Waiting, attempt: int | None) -> None:
        live = self._jobs.image(waiting.image_id)
        if attempt is None:
            log.error("image=%s action=claim-refused", waiting.image_id)  # erased while it waited
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            return
        self._jobs.of_image(live.image.id).started(waiting.image_id, attempt)
        try:
            order = await self._commands.build(live, waiting)
        except FileMissingError as gone:
            self._give_up_place(waiting.image_id)
            self._fileless[waiting.image_id] = str(gone)
            self._spawn(self._wait_for_file(live, attempt, str(gone)))
            return
        except Exception:  # an unreadable disk or an unexpected row ends one picture, not all of them
            log.exception("image=%s action=order-failed", waiting.image_id)
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=FailedError.code))
            return
        if live.cancel_asked:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            return
        self._at_worker[waiting.image_id] = attempt
        self.pace.resumed(now_s=time.monotonic())
        try:
            await self._worker.admit(order)
        except ConnectionError:
            await self._return_unstarted(live, attempt)
        self._on_change(live.image.job_id)

    async def _return_unstarted(self, live: ActiveImage, attempt: int) -> None:
        """Return an image to the line, without counting an attempt: the worker went down before it took the image."""
        if self._at_worker.get(live.image.id) == attempt:
            live.losses -= 1
            self._release_place(live.image.id)
            await self._return_to_line(live, attempt)

    async def _wait_for_file(self, live: ActiveImage, attempt: int, sha256: str) -> None:
        """Hold an image back while a missing file that it starts from is painted again.

        It keeps its turn, but no slot.
        """
        owner = self._jobs.of_image(live.image.id).job.owner
        try:
            is_there = await self._restore(sha256, owner)
        except Exception:
            log.exception("image=%s action=restore-failed", live.image.id)
            is_there = False
        if self._fileless.pop(live.image.id, None) is None:
            return  # cancelled meanwhile
        if not is_there:
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=SourceLostError.code))
            return
        live.losses -= 1
        live.foreseen = None
        await self._return_to_line(live, attempt)
        self._wake.set()

    # From the worker.

    async def _listen(self) -> None:
        async for event in self._worker.events():
            await self._heard(event)

    async def _heard(self, event: Event) -> None:
        match event:
            case Ready():
                self.trouble = None
                self._forget_estimates()
                self._wake.set()
            case WorkerLost():
                await self._lost(event.reason)
            case _ if self._at_worker.get(event.image_id) != event.attempt:
                log.warning("image=%s attempt=%s action=stale-event", event.image_id, event.attempt)
            case Progress():
                self._handle_progress(event)
            case Preview():
                self._jobs.image(event.image_id).preview = event.jpeg
                self._changed(event.image_id)
            case Finished() | Cancelled() | ImageFailed():
                self._release_place(event.image_id)
                self._jobs.image(event.image_id).painted_at_s = time.monotonic()
                self._num_settling += 1
                self._spawn(self._settle(event))

    def _handle_progress(self, event: Progress) -> None:
        live = self._jobs.image(event.image_id)
        before = live.units_done
        live.done = event.done
        self.pace.progressed(event.image_id, live.units_done - before, now_s=time.monotonic())
        self._changed(event.image_id)

    def _release_place(self, image_id: str) -> None:
        del self._at_worker[image_id]
        self._give_up_place(image_id)
        if not self._at_worker:
            self.pace.paused()
        self._wake.set()

    def _give_up_place(self, image_id: str) -> None:
        """Let the line move on, if the image was to be alone at the worker."""
        if self._suspect_at_work == image_id:
            self._suspect_at_work = None

    async def _settle(self, event: Finished | Cancelled | ImageFailed) -> None:
        """Settle an image that left the worker: make it durable, charge it, notify."""
        live = self._jobs.image(event.image_id)
        try:
            outcome = await self._outcomes.build(live, event)
        except Exception:
            log.exception("image=%s action=settle-failed", event.image_id)
            outcome = Outcome(status=Status.FAILED, charged=0, error=FailedError.code)
        await self._end(live, outcome)
        self._num_settling -= 1
        self._wake.set()

    async def _end(self, live: ActiveImage, outcome: Outcome) -> None:
        image = live.image
        self._give_up_place(image.id)
        written = await retry_write(lambda: self._store.settle(image.id, image.attempt, outcome))
        reached("settled")
        if not written:
            log.error("image=%s attempt=%s action=stale-settle", image.id, image.attempt)
        if self._queue.is_in_flight(image.id):
            self._queue.settle(image.id, outcome.charged)
        log.info("image=%s attempt=%s action=%s charged=%s", image.id, image.attempt, outcome.status, outcome.charged)
        self._on_end(live, outcome)
        self._wake.set()

    async def _lost(self, reason: str) -> None:
        """Return the images of a lost worker to the line; try one that was held too often alone, then give it up."""
        log.error("action=worker-lost images=%s reason=%s", len(self._at_worker), reason)
        self.trouble = reason
        held = dict(self._at_worker)
        self._at_worker.clear()
        self._suspect_at_work = None
        self.pace.paused()
        for image_id, attempt in held.items():
            await self._return_to_line(self._jobs.image(image_id), attempt)
        self._forget_estimates()
        self._wake.set()

    async def _return_to_line(self, live: ActiveImage, attempt: int) -> None:
        self._give_up_place(live.image.id)
        live.losses += 1
        if live.losses >= MAX_LOSSES:
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=WorkerLostError.code))
        elif live.cancel_asked:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
        else:
            await retry_write(lambda: self._store.release(live.image.id, attempt))
            live_job = self._jobs.of_image(live.image.id)
            live_job.waits_again(live.image.id)
            if live.losses >= LOSSES_BEFORE_ALONE:
                self._suspects.append(make_waiting(live_job.job, live.image))
            else:
                self._queue.push_back(live.image.id)
            self._on_change(live.image.job_id)

    # Small helpers.

    def _forget_estimates(self) -> None:
        """Forget what waits were estimated, because painting stops or goes on."""
        self.pace.interrupted()
        for live_job in list(self._jobs):
            self._on_change(live_job.job.id)

    def _changed(self, image_id: str) -> None:
        self._on_change(self._jobs.of_image(image_id).job.id)

    def _drop_suspect(self, image_id: str) -> bool:
        waiting = next((each for each in self._suspects if each.image_id == image_id), None)
        if waiting is not None:
            self._suspects.remove(waiting)
        return waiting is not None

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        assert self._tasks is not None, "events are only heard while `run` runs"
        self._tasks.create_task(work)


def make_waiting(job: Job, image: Image) -> Waiting:
    """Return an image's entry in the line."""
    return Waiting(image.id, job.owner.guild_id, job.owner.user_id, image.reserved, job.boost)
