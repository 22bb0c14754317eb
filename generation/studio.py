"""The service in the middle: takes requests, keeps the worker busy in fair order, sees every image to its end.

    submit -> (store) -> FairQueue -> dispatch -> worker -> events -> settle -> (store) -> on_change

Everything durable happens in the store before anybody is told. What is in memory here can be lost at any moment:
`recover` builds it again from the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import TypeVar

from generation.catalog import Catalog
from generation.cost import cost_of_evaluations, image_cost
from generation.errors import Draining, InvalidRequest, WorkerLost
from generation.fair_queue import FairQueue, Waiting
from generation.files import ImageFiles
from generation.guild import RoleBoost
from generation.images import pixels_sha256
from generation.job import Image, Job, Outcome, Owner, ReplyTo, Status, new_job_id, split_image_id
from generation.live import JobView, LiveImage, LiveJob
from generation.order import Broken, Cancel, Cancelled, Event, Finished, Lost, Order, Preview, Progress, Ready, Share
from generation.pace import Pace
from generation.ports import Clock, JobStore, Worker
from generation.provenance import sign_png
from generation.recipe import Fingerprint, Recipe
from generation.request import GenerationRequest, ImageSpec
from generation.sizes import require_size
from generation.waits import Ahead, Experience, play

log = logging.getLogger(__name__)
T = TypeVar("T")

LOSSES_BEFORE_ALONE = 2
"""After so many lost workers an image is tried alone, so that if it is the killer, it kills no one else's work."""
MAX_LOSSES = 3
PREVIEWS_PER_IMAGE = 2
_NEWCOMER_FACTOR = 2
"""How far beyond its slots a worker is filled with the images of guilds that have nothing there yet."""
_FORECAST_AGE_S = 1.0
_SHORT_LINE = 200
"""Up to so many waiting images a new job's place is worked out at once rather than with the next second's."""
_COUNTERS_EVERY_S = 2.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class Studio:
    """See the module's text. All methods belong to one event loop; `run` must be running for anything to be made."""

    def __init__(
        self,
        *,
        worker: Worker,
        store: JobStore,
        files: ImageFiles,
        catalog: Catalog,
        queue: FairQueue | None = None,
        clock: Clock = utc_now,
        check_safety: bool = True,
    ) -> None:
        self.catalog = catalog
        self.files = files
        self.on_change: Callable[[str], None] = lambda job_id: None
        self._worker = worker
        self._store = store
        self._queue = FairQueue() if queue is None else queue  # an empty queue is falsy
        self._clock = clock
        self._check_safety = check_safety
        self._jobs: dict[str, LiveJob] = {}
        self._at_worker: dict[str, int] = {}
        self._suspects: deque[Waiting] = deque()
        self._suspect_at_work: str | None = None
        self._arriving: Counter[tuple[int, int]] = Counter()
        self._boosts: dict[int, dict[int, float]] = {}
        self._pace, self._experience = Pace(), Experience()
        self._wake = asyncio.Event()
        self._recovered = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._is_draining = False
        self._places: dict[str, int] = {}
        self._ends_at_s: dict[str, float] = {}
        self._forecast_at_s = float("-inf")

    # What people ask for.

    async def submit(
        self,
        request: GenerationRequest,
        owner: Owner,
        *,
        reply_to: ReplyTo | None = None,
        role_ids: Collection[int] = (),
    ) -> Job:
        """Accept a request: when this returns, the job is on disk and will end. Raises `Refused` otherwise.

        `role_ids` are the owner's roles in the guild, for quotas of roles.
        """
        await self._recovered.wait()  # else a job accepted meanwhile would be taken up twice
        self.check(request, owner)
        job = self._new_job(request, owner, boost=self.boost_of(owner.guild_id, role_ids))
        self._arriving[owner.guild_id, owner.user_id] += request.count
        # Shielded: a caller who is cancelled now must not leave a job that is accepted and in nobody's line.
        await asyncio.shield(self._accept(job, reply_to, role_ids))
        return job

    async def _accept(self, job: Job, reply_to: ReplyTo | None, role_ids: Collection[int]) -> None:
        owner, count = job.owner, job.request.count
        try:
            await self._store.accept(job, reply_to, role_ids=role_ids)
        finally:
            self._arriving[owner.guild_id, owner.user_id] -= count
        log.info("job=%s guild=%s action=accepted images=%s", job.id, owner.guild_id, count)
        self._enqueue(job)

    def check(self, request: GenerationRequest, owner: Owner) -> None:
        """Raise `Refused` if it is plain without asking the store that `submit` would refuse."""
        if self._is_draining:
            raise Draining
        spec, model = request.spec, self.catalog.get(request.spec.model)
        if spec.upscale is None:
            require_size(model, (spec.width_px, spec.height_px))
        tenant = (owner.guild_id, owner.user_id)
        self._queue.check_room(*tenant, request.count + self._arriving[tenant])

    async def cancel(self, job_id: str) -> bool:
        """Stop what has not ended of a job: waiting images at no cost, running ones for the steps they took.

        False if there was nothing left to stop.
        """
        await self._recovered.wait()
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return False
        for image_id, live in list(live_job.images.items()):
            live.cancel_asked = True
            if self._queue.cancel(image_id) or self._drop_suspect(image_id):
                await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            elif (attempt := self._at_worker.get(image_id)) is not None:
                await self._worker.cancel(Cancel(image_id=image_id, attempt=attempt))
        return True

    def is_live(self, job_id: str) -> bool:
        """Whether the job has not ended; far cheaper than `view`."""
        return job_id in self._jobs

    def view(self, job_id: str) -> JobView | None:
        """A live job as it stands now; None for one that ended or never was (ask the store)."""
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return None
        self._refresh_forecast(live_job)
        waits = [each.image.id for each in live_job.images.values() if each.image.status is Status.WAITING]
        places = [self._places[image_id] for image_id in waits if image_id in self._places]
        ends = [self._ends_at_s[image_id] for image_id in live_job.images if image_id in self._ends_at_s]
        return JobView(
            job=live_job.job,
            progress=live_job.progress,
            images_ahead=min(places, default=None),
            wait_s=max(0.0, max(ends) - time.monotonic()) if ends else None,
            preview=live_job.preview,
        )

    async def finished(self, job_id: str) -> Job:
        """Wait until a job has ended, and return it as it ended. Raises `UnknownJob`."""
        await self._recovered.wait()
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return await self._store.fetch_job(job_id)
        return await asyncio.shield(live_job.ended)

    def live_ids(self) -> list[str]:
        """The ids of all live jobs, oldest first."""
        return list(self._jobs)

    def jobs_of(self, guild_id: int) -> list[JobView]:
        """The live jobs of one guild, oldest first."""
        views = (self.view(job_id) for job_id, live in self._jobs.items() if live.job.owner.guild_id == guild_id)
        return [view for view in views if view is not None]

    @property
    def num_waiting(self) -> int:
        return len(self._queue) + len(self._suspects)

    @property
    def num_running(self) -> int:
        return len(self._at_worker)

    @property
    def is_ready(self) -> bool:
        return self._worker.num_slots > 0

    @property
    def fingerprint(self) -> Fingerprint | None:
        return self._worker.fingerprint

    @property
    def units_per_s(self) -> float | None:
        """Cost units painted a second of late; None before anything was measured."""
        return self._pace.units_per_s

    def set_weight(self, guild_id: int, weight: float) -> None:
        self._queue.set_weight(guild_id, weight)

    def set_boost(self, boost: RoleBoost) -> None:
        """What members of a role may claim inside their guild. Takes effect with their next requests."""
        self._boosts.setdefault(boost.guild_id, {})[boost.role_id] = boost.boost

    def boost_of(self, guild_id: int, role_ids: Collection[int]) -> float:
        """The highest boost of a member's roles; 1 without one. The role whose id is the guild's is everyone."""
        boosts = self._boosts.get(guild_id, {})
        return max((boosts[role_id] for role_id in (*role_ids, guild_id) if role_id in boosts), default=1.0)

    def share_of(self, guild_id: int) -> tuple[float, float]:
        """`(weight, part)`: a guild's weight, and the part of the machine it may claim now, 0 to 1."""
        return self._queue.share_of(guild_id)[0], self._queue.claim_of(guild_id)

    # The life of the studio.

    async def run(self) -> None:
        """Recover, start the worker, and work until cancelled."""
        await self.recover()
        await self._worker.start()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._dispatch(), name="dispatch")
                self._tasks.create_task(self._listen(), name="listen")
                self._tasks.create_task(self._keep_counters(), name="keep counters")
        finally:
            self._tasks = None

    async def recover(self) -> None:
        """Take up every job that an earlier run left unfinished."""
        jobs = await self._store.fetch_unfinished()
        waiting: list[Waiting] = []
        for job in jobs:
            self._jobs[job.id] = live_job = LiveJob.of(job)
            waiting += [_waiting(job, live.image) for live in live_job.images.values()]
        self._queue.restore(await self._store.fetch_counters(), waiting)
        if jobs:
            log.info("action=recovered jobs=%s images=%s", len(jobs), len(waiting))
        self._recovered.set()
        self._wake.set()
        for job in jobs:
            self.on_change(job.id)

    async def drain(self, *, grace_s: float) -> None:
        """Accept nothing more, start nothing more, and give what is running `grace_s` to end."""
        self._is_draining = True
        live = [live_job.ended for live_job in self._jobs.values() if live_job.job.status is Status.RUNNING]
        if live:
            await asyncio.wait(live, timeout=grace_s)
        if self._recovered.is_set():  # else there is nothing newer than what is stored
            await self._store.save_counters(self._queue.counters())

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
        """The next image there is room for. A guild that has nothing at the worker gets a place even beyond the slots:
        the engine then steps it first, so a light guild does not wait for a heavy one's pictures to end.
        """
        slots = self._worker.num_slots
        if not slots or self._is_draining or self._suspect_at_work is not None:
            return None
        if self._suspects:
            return None if taken else self._next_suspect()
        if taken < slots:
            return self._queue.pick()
        return self._queue.pick_newcomer() if taken < slots * _NEWCOMER_FACTOR else None

    def _next_suspect(self) -> Waiting:
        suspect = self._suspects.popleft()
        self._suspect_at_work = suspect.image_id
        return suspect

    async def _claim(self, waiting: Waiting) -> int | None:
        return await self._durably(lambda: self._store.claim(waiting.image_id))

    async def _send(self, waiting: Waiting, attempt: int | None) -> None:
        live = self._live(waiting.image_id)
        if attempt is None:
            log.error("image=%s action=claim-refused", waiting.image_id)
            self._queue.settle(waiting.image_id, 0)
            return
        self._jobs[live.image.job_id].started(waiting.image_id, attempt)
        try:
            order = await self._order(live, waiting)
        except InvalidRequest as gone:
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=gone.code))
            return
        if live.cancel_asked:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
            return
        self._at_worker[waiting.image_id] = attempt
        self._pace.resumed(now_s=time.monotonic())
        try:
            await self._worker.admit(order)
        except ConnectionError:
            await self._return_unstarted(live, attempt)
        self.on_change(live.image.job_id)

    async def _return_unstarted(self, live: LiveImage, attempt: int) -> None:
        """The worker went down before it took the image: back in line, held against nobody."""
        if self._at_worker.get(live.image.id) == attempt:
            live.losses -= 1
            del self._at_worker[live.image.id]
            await self._return_to_line(live, attempt)

    async def _order(self, live: LiveImage, waiting: Waiting) -> Order:
        spec, job = live.image.spec, self._jobs[live.image.job_id].job
        weight, counter = self._queue.share_of(waiting.guild_id)
        start = spec.start.sha256 if spec.start else spec.upscale.sha256 if spec.upscale else None
        mask = spec.start.mask_sha256 if spec.start else None
        replay = job.request.replay
        return Order(
            image_id=waiting.image_id,
            attempt=live.image.attempt,
            spec=spec,
            share=Share(waiting.guild_id, weight, counter, waiting.user_id, waiting.boost),
            check_safety=self._check_safety,
            num_previews=PREVIEWS_PER_IMAGE if job.request.count == 1 else 0,
            start_png=await self._file(start),
            mask_png=await self._file(mask),
            replay=replay.trace if replay else None,
        )

    async def _file(self, sha256: str | None) -> bytes | None:
        if sha256 is None:
            return None
        data = await asyncio.to_thread(self.files.get, sha256)
        if data is None:
            raise InvalidRequest(what="The start image", problem="is not on disk any more.")
        return data

    # From the worker.

    async def _listen(self) -> None:
        async for event in self._worker.events():
            await self._heard(event)

    async def _heard(self, event: Event) -> None:
        match event:
            case Ready():
                self._wake.set()
            case Lost():
                await self._lost(event.reason)
            case _ if self._at_worker.get(event.image_id) != event.attempt:
                log.warning("image=%s attempt=%s action=stale-event", event.image_id, event.attempt)
            case Progress():
                self._progressed(event)
            case Preview():
                self._live(event.image_id).preview = event.jpeg
                self._changed(event.image_id)
            case Finished() | Cancelled() | Broken():
                self._left_worker(event.image_id)
                self._spawn(self._settle(event))

    def _progressed(self, event: Progress) -> None:
        live = self._live(event.image_id)
        before = live.units_done
        live.done = event.done
        self._pace.progressed(live.units_done - before, now_s=time.monotonic())
        self._changed(event.image_id)

    def _left_worker(self, image_id: str) -> None:
        del self._at_worker[image_id]
        if self._suspect_at_work == image_id:
            self._suspect_at_work = None
        if not self._at_worker:
            self._pace.paused()
        self._wake.set()

    async def _settle(self, event: Finished | Cancelled | Broken) -> None:
        """An image left the worker: make it durable, charge it, tell."""
        live = self._live(event.image_id)
        try:
            outcome = await self._outcome(live, event)
        except Exception:
            log.exception("image=%s action=settle-failed", event.image_id)
            outcome = Outcome(status=Status.FAILED, charged=0, error="Failed")
        await self._end(live, outcome)

    async def _outcome(self, live: LiveImage, event: Finished | Cancelled | Broken) -> Outcome:
        match event:
            case Finished(withheld=True):
                return Outcome(status=Status.WITHHELD, charged=0, error="Withheld")
            case Finished():
                return await self._keep(live, event)
            case Cancelled():
                charged = cost_of_evaluations(live.image.spec, event.evaluations) if event.evaluations else 0
                return Outcome(status=Status.CANCELLED, charged=min(charged, live.image.reserved))
            case Broken():
                log.error("image=%s error=%s action=broken: %s", event.image_id, event.error, event.message)
                return Outcome(status=Status.FAILED, charged=0, error=event.error)

    async def _keep(self, live: LiveImage, event: Finished) -> Outcome:
        """Sign the picture and put it on disk; a full disk is waited for, not an end."""
        size_px = (event.width_px, event.height_px)
        recipe = self._recipe(live.image.spec, event)
        png = await asyncio.to_thread(sign_png, event.pixels, size_px, recipe)
        sha256 = await self._durably(lambda: asyncio.to_thread(self.files.put, png))
        return Outcome(status=Status.DONE, charged=live.image.reserved, recipe=recipe, file_sha256=sha256)

    def _recipe(self, spec: ImageSpec, event: Finished) -> Recipe:
        source = spec.start.sha256 if spec.start else spec.upscale.sha256 if spec.upscale else None
        return Recipe(
            spec=spec,
            model_sha256=self._worker.model_sha256.get(spec.model, ""),
            trace=event.trace,
            fingerprint=self._worker.fingerprint or Fingerprint({}),
            pixels_sha256=pixels_sha256(event.pixels),
            parents=(source,) if source else (),
        )

    async def _end(self, live: LiveImage, outcome: Outcome) -> None:
        image = live.image
        written = await self._durably(lambda: self._store.settle(image.id, image.attempt, outcome))
        if not written:
            log.error("image=%s attempt=%s action=stale-settle", image.id, image.attempt)
        if self._queue.is_in_flight(image.id):
            self._queue.settle(image.id, outcome.charged)
        if outcome.status is Status.DONE and live.played:
            self._experience.learn(live.played["span_s"], time.monotonic() - live.played["at_s"])
        live_job = self._jobs[image.job_id]
        live_job.ended_with(image.id, outcome)
        log.info("image=%s attempt=%s action=%s charged=%s", image.id, image.attempt, outcome.status, outcome.charged)
        if live_job.job.is_end:
            del self._jobs[image.job_id]
            live_job.ended.set_result(live_job.job)
        self.on_change(image.job_id)
        self._wake.set()

    async def _lost(self, reason: str) -> None:
        """The worker is gone. What it held goes back in line; what it held too often is tried alone, then given up."""
        log.error("action=worker-lost images=%s reason=%s", len(self._at_worker), reason)
        held = dict(self._at_worker)
        self._at_worker.clear()
        self._suspect_at_work = None
        self._pace.paused()
        for image_id, attempt in held.items():
            await self._return_to_line(self._live(image_id), attempt)
        self._wake.set()

    async def _return_to_line(self, live: LiveImage, attempt: int) -> None:
        live.losses += 1
        if live.losses >= MAX_LOSSES:
            await self._end(live, Outcome(status=Status.FAILED, charged=0, error=WorkerLost.__name__))
        elif live.cancel_asked:
            await self._end(live, Outcome(status=Status.CANCELLED, charged=0))
        else:
            await self._durably(lambda: self._store.release(live.image.id, attempt))
            live_job = self._jobs[live.image.job_id]
            live_job.waits_again(live.image.id)
            if live.losses >= LOSSES_BEFORE_ALONE:
                self._suspects.append(_waiting(live_job.job, live.image))
            else:
                self._queue.push_back(live.image.id)
            self.on_change(live.image.job_id)

    # Small helpers.

    def _new_job(self, request: GenerationRequest, owner: Owner, *, boost: float) -> Job:
        job_id = new_job_id()
        images = tuple(
            Image(job_id=job_id, index=index, spec=spec, reserved=image_cost(spec))
            for index, spec in enumerate(request.images())
        )
        return Job(id=job_id, owner=owner, request=request, created_at=self._clock(), images=images, boost=boost)

    def _enqueue(self, job: Job) -> None:
        self._jobs[job.id] = live_job = LiveJob.of(job)
        for live in live_job.images.values():
            self._queue.push(_waiting(job, live.image))
        self._wake.set()

    def _live(self, image_id: str) -> LiveImage:
        return self._jobs[split_image_id(image_id)[0]].images[image_id]

    def _changed(self, image_id: str) -> None:
        self.on_change(split_image_id(image_id)[0])

    def _drop_suspect(self, image_id: str) -> bool:
        waiting = next((each for each in self._suspects if each.image_id == image_id), None)
        if waiting is not None:
            self._suspects.remove(waiting)
        return waiting is not None

    def _spawn(self, work: Awaitable[None]) -> None:
        assert self._tasks is not None, "events are only heard while `run` runs"
        self._tasks.create_task(work)  # type: ignore[arg-type]

    def _refresh_forecast(self, live_job: LiveJob) -> None:
        """Places and ends to come, worked out at most once a second, for the line is played through to its end."""
        now_s = time.monotonic()
        is_new = not any(image_id in self._places for image_id in live_job.images)
        if now_s - self._forecast_at_s < _FORECAST_AGE_S and not (is_new and len(self._queue) < _SHORT_LINE):
            return
        self._forecast_at_s = now_s
        line = [each.image_id for each in (*self._suspects, *self._queue.forecast())]
        self._places = {image_id: place for place, image_id in enumerate(line)}
        making = [self._ahead(image_id) for image_id in self._at_worker]
        ends = play(making, [self._ahead(each) for each in line], slots=self._worker.num_slots, pace=self._pace)
        self._ends_at_s = {image_id: now_s + self._experience.corrected(span) for image_id, span in ends.items()}
        for image_id, span in ends.items():
            self._live(image_id).played.setdefault("at_s", now_s)
            self._live(image_id).played.setdefault("span_s", span)

    def _ahead(self, image_id: str) -> Ahead:
        live = self._live(image_id)
        owner, evaluations = self._jobs[live.image.job_id].job.owner, max(1, live.image.spec.num_evaluations)
        return Ahead(
            image_id,
            owner.guild_id,
            owner.user_id,
            weight=self._queue.share_of(owner.guild_id)[0],
            units=live.image.reserved / evaluations,
            left=max(1.0, float(evaluations - live.done)),
        )

    async def _keep_counters(self) -> None:
        saved: dict[int, float] = {}
        while True:
            await asyncio.sleep(_COUNTERS_EVERY_S)
            counters = self._queue.counters()
            if counters != saved:
                await self._durably(lambda now=counters: self._store.save_counters(now))  # type: ignore[misc]
                saved = counters

    async def _durably(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do a write that must happen: storage that fails (full, locked) is tried again until it works."""
        pause_s = 0.1
        while True:
            try:
                return await write()
            except Exception:
                log.exception("action=storage-failed next_try_s=%.1f", pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(30.0, pause_s * 2)


def _waiting(job: Job, image: Image) -> Waiting:
    return Waiting(image.id, job.owner.guild_id, job.owner.user_id, image.reserved, job.boost)
