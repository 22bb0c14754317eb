"""Keeps the slots of all workers full in fair order, and settles each image at its end.

    FairQueue -> placement -> claim -> order -> worker -> events -> sign, store -> settle -> `on_end`

A worker that is lost gives its images back to the line; those of the others go on. An image that was lost too often is
tried alone, so that if it is the killer, it kills no one else's work (docs/decisions/0003): one worker is emptied for
it, the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence

from msgspec import UNSET

from generation.errors import FailedError, SourceLostError, WorkerLostError
from generation.failpoints import reached
from generation.images.store import ImageFiles
from generation.jobs.job import Image, Job, Outcome, Status
from generation.jobs.ports import JobStore
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Finished,
    ImageFailed,
    Preview,
    Progress,
    Ready,
    WorkerLost,
)
from generation.owner import Owner
from generation.requests.plain import is_plain
from generation.requests.spec import ImageSpec
from generation.retry import retry_write
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs
from generation.scheduling.command_builder import CommandBuilder, FileMissingError
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.members import RETURNS_WITHIN_S, Members, MemberState
from generation.scheduling.memory_limits import sized
from generation.scheduling.outcome_builder import OutcomeBuilder
from generation.scheduling.placement import Needs
from generation.scheduling.placer import Placed, Placer
from generation.scheduling.worker_pool import MemberLeft, PoolEvent, WorkerPool

log = logging.getLogger(__name__)

LOSSES_BEFORE_ALONE = 2
"""After so many lost workers an image is tried alone."""
MAX_LOSSES = 3
_SETTLING_FACTOR = 4
"""How many pictures beyond the slots may wait for the disk: one that is full must not fill the memory too."""


Claimed = tuple[Waiting, int | None, MemberState]
"""An image with its attempt (None: it was refused), on its way to a member."""


class Dispatcher:
    """See the module's text. `on_change` hears the id of a job that moved, `on_end` each image that ended; `restore`
    brings back a file that is gone, or says that it cannot; `abandon` is called when no image waits for it any more.
    """

    def __init__(
        self,
        *,
        pool: WorkerPool,
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
        self.is_draining = False
        self._is_paused = False
        self._pool, self._store = pool, store
        self.members = Members(pool, clock=time.monotonic)
        self._queue, self._jobs = queue, jobs
        self._placer = Placer(queue, self.members)
        self._commands = CommandBuilder(files=files, queue=queue, jobs=jobs, check_safety=check_safety)
        self._outcomes = OutcomeBuilder(files=files, jobs=jobs, lookup_hashes=lookup_hashes)
        self._restore, self._abandon = restore, abandon
        self._on_change, self._on_end = on_change, on_end
        self._fileless: dict[str, str] = {}
        """Images that wait for a file which is painted again, and its SHA-256."""
        self._num_settling = 0
        self._wake = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def at_worker(self) -> Collection[str]:
        """Ids of the images that workers hold."""
        return self.members.held.keys()

    @property
    def suspects(self) -> Sequence[str]:
        """Ids of the images that wait to be tried alone, before all others."""
        return self._placer.suspects

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
        if self._queue.cancel(image_id) or self._placer.drop_suspect(image_id):
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
        elif (holder := self.members.held.get(image_id)) is not None:
            cancel = Cancel(image_id=image_id, attempt=holder.held[image_id])
            await holder.member.worker.cancel(cancel)
        elif (sha256 := self._fileless.pop(image_id, None)) is not None:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            if sha256 not in self._fileless.values():
                await self._abandon(sha256)

    # Towards the workers.

    async def _dispatch(self) -> None:
        """Keep the slots of all workers full, in fair order."""
        while True:
            with contextlib.suppress(TimeoutError):  # what waits for a member that is down does so for a while only
                async with asyncio.timeout(RETURNS_WITHIN_S / 4):
                    await self._wake.wait()
            self._wake.clear()
            batch: list[Placed] = []
            while (placed := self._next()) is not None:
                batch.append(placed)
            attempts = await asyncio.gather(*(self._claim(waiting) for waiting, _ in batch))  # share one commit
            claimed = [(waiting, attempt, member) for (waiting, member), attempt in zip(batch, attempts, strict=True)]
            for each in {member.name: member for _, _, member in claimed}.values():
                self._spawn(self._send_all(each, [claim for claim in claimed if claim[2] is each]))

    def _next(self) -> Placed | None:
        """Return the next image there is room for, and where."""
        slots = self.members.num_slots
        if not slots or self.is_draining or self._is_paused or self._num_settling >= slots * _SETTLING_FACTOR:
            return None
        return self._placer.next()

    async def _claim(self, waiting: Waiting) -> int | None:
        attempt = await retry_write(lambda: self._store.claim(waiting.image_id))
        reached("claimed")
        return attempt

    async def _send_all(self, member: MemberState, claimed: Iterable[Claimed]) -> None:
        """Hand over images to their member, after those that are on their way there."""
        async with member.sending:
            for each in claimed:
                try:
                    await self._hand_over(*each)
                finally:
                    member.coming.pop(each[0].image_id, None)

    async def _hand_over(self, waiting: Waiting, attempt: int | None, member: MemberState) -> None:
        live = self._jobs.image(waiting.image_id)
        if attempt is None:
            log.error("image=%s action=claim-refused", waiting.image_id)  # erased while it waited
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            return
        self._jobs.of_image(live.image.id).started(waiting.image_id, attempt)
        try:
            order = await self._commands.build(live, waiting)
        except FileMissingError as gone:
            self.members.clear_suspect(waiting.image_id)
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
        self.members.take(member, waiting.image_id, attempt, waiting.needs.model)
        try:
            await member.member.worker.admit(order)
        except ConnectionError:
            await self._return_unstarted(live, attempt)
        self._on_change(live.image.job_id)

    async def _return_unstarted(self, live: ActiveImage, attempt: int) -> None:
        """Return an image to the line, without counting an attempt: the worker went down before it took the image."""
        holder = self.members.held.get(live.image.id)
        if holder is not None and holder.held[live.image.id] == attempt:
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

    # From the workers.

    async def _listen(self) -> None:
        async for name, event in self._pool.events():
            member = self.members.get(name)
            if member is not None:
                await self._heard(member, event)

    async def _heard(self, member: MemberState, event: PoolEvent) -> None:
        match event:
            case Ready():
                self.members.note_ready(member)
                self._forget_estimates(member)
                self._wake.set()
            case WorkerLost():
                self.members.note_lost(member, event.reason)
                await self._lost(member, event.reason, is_loss=True)
            case MemberLeft():
                await self._lost(member, event.reason, is_loss=False)
                self.members.remove(member)
            case _ if member.held.get(event.image_id) != event.attempt:
                log.warning("image=%s attempt=%s action=stale-event", event.image_id, event.attempt)
            case Progress():
                self._handle_progress(member, event)
            case Preview():
                self._jobs.image(event.image_id).preview = event.jpeg
                self._changed(event.image_id)
            case Finished() | Cancelled() | ImageFailed():
                member.is_shaky = False
                self._release_place(event.image_id)
                self._jobs.image(event.image_id).painted_at_s = time.monotonic()
                self._num_settling += 1
                self._spawn(self._settle(event))

    def _handle_progress(self, member: MemberState, event: Progress) -> None:
        live = self._jobs.image(event.image_id)
        before = live.units_done
        live.advance(event, member.name)
        now_s = time.monotonic() if event.at_s is None else event.at_s
        member.pace.progressed(event.image_id, live.units_done - before, now_s=now_s)
        self._changed(event.image_id)

    def _release_place(self, image_id: str) -> None:
        self.members.release(image_id)
        self._wake.set()

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
        self.members.clear_suspect(image.id)
        written = await retry_write(lambda: self._store.settle(image.id, image.attempt, outcome))
        reached("settled")
        if not written:
            log.error("image=%s attempt=%s action=stale-settle", image.id, image.attempt)
        if self._queue.is_in_flight(image.id):
            self._queue.settle(image.id, outcome.charged)
        log.info("image=%s attempt=%s action=%s charged=%s", image.id, image.attempt, outcome.status, outcome.charged)
        self._on_end(live, outcome)
        self._wake.set()

    async def _lost(self, member: MemberState, reason: str, *, is_loss: bool) -> None:
        """Return the images of a lost worker to the line; try one that was held too often alone, then give it up.

        A worker that was let go on purpose (`is_loss` False) counts against none of its images.
        """
        held = self.members.empty(member)
        level, action = (logging.ERROR, "worker-lost") if is_loss else (logging.INFO, "worker-left")
        log.log(level, "member=%s action=%s images=%s reason=%s", member.name, action, len(held), reason)
        for image_id, attempt in held.items():
            live = self._jobs.image(image_id)
            if is_loss:
                live.lost_at |= {member.name}
            else:
                live.losses -= 1
            await self._return_to_line(live, attempt)
        self._forget_estimates(member)
        self._wake.set()

    async def _return_to_line(self, live: ActiveImage, attempt: int) -> None:
        self.members.clear_suspect(live.image.id)
        live.losses += 1
        if live.losses >= MAX_LOSSES:
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=WorkerLostError.code))
        elif live.cancel_asked:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
        else:
            await retry_write(lambda: self._store.release(live.image.id, attempt))
            live_job = self._jobs.of_image(live.image.id)
            live_job.waits_again(live.image.id)
            waiting = make_waiting(live_job.job, live.image, lost_at=live.lost_at)
            if live.losses >= LOSSES_BEFORE_ALONE:
                self._placer.add_suspect(waiting)
            else:
                self._queue.push_back(live.image.id, waiting.needs)
            self._on_change(live.image.job_id)

    # Small helpers.

    def _forget_estimates(self, member: MemberState | None = None) -> None:
        """Forget what waits were estimated, because painting stops or goes on: at one member or at all."""
        for each in self.members if member is None else (member,):
            each.pace.interrupted()
        for live_job in list(self._jobs):
            self._on_change(live_job.job.id)

    def _changed(self, image_id: str) -> None:
        self._on_change(self._jobs.of_image(image_id).job.id)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        assert self._tasks is not None, "events are only heard while `run` runs"
        self._tasks.create_task(work)


def make_waiting(job: Job, image: Image, *, lost_at: frozenset[str] = frozenset()) -> Waiting:
    """Return an image's entry in the line. `lost_at`: the members that were lost while they held it."""
    replay = job.request.replay
    fingerprint = "" if replay is None or replay.fingerprint is UNSET else replay.fingerprint
    may_leave = replay is None and is_plain(image.spec)
    needs = Needs(model=image.spec.model, fingerprint=fingerprint, avoids=lost_at, may_leave=may_leave)
    return Waiting(image.id, job.owner.guild_id, job.owner.user_id, image.reserved, job.boost, sized(needs, image.spec))
