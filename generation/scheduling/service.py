"""The service: accepts requests, runs the queue and the worker, and recovers after a restart.

    submit -> (store) -> FairQueue -> Dispatcher -> (store) -> on_change

Everything durable happens in the store before a user is notified. What is in memory can be lost at any moment:
`recover` builds it again from the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from generation.clock import Clock, utc_now
from generation.errors import ClosedError, DrainingError, OutdatedError
from generation.failpoints import reached
from generation.images.store import ImageFiles
from generation.jobs.job import Job, Outcome, ReplyTo, Status
from generation.jobs.ports import JobStore
from generation.jobs.protocol import LoadedModelInfo
from generation.jobs.source_access import require_sources, starts_from_upload
from generation.models.catalog import Catalog
from generation.models.failed_loads import FailedLoads
from generation.models.lookup_hashes import lookup_hashes
from generation.models.prices import price_load_of
from generation.owner import Owner
from generation.policy.guild_settings import RoleBoost
from generation.requests.spec import GenerationRequest
from generation.retry import retry_write, unwrap_group
from generation.safety.visibility import FlaggedHandling
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs, JobView
from generation.scheduling.dispatcher import Dispatcher, make_waiting
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.members import Members
from generation.scheduling.new_job import build_job, is_paintable, require_paintable
from generation.scheduling.source_restorer import SourceRestorer
from generation.scheduling.wait_estimates import Station, WaitEstimates
from generation.scheduling.watchers import Watchers
from generation.scheduling.worker_pool import WorkerPool
from generation.scheduling.worker_status import WorkerStatus, list_status

log = logging.getLogger(__name__)

_COUNTERS_EVERY_S = 2.0


class GenerationService:
    """See the module's text. All methods belong to one event loop; `run` must be running for anything to be made."""

    def __init__(
        self,
        *,
        pool: WorkerPool,
        store: JobStore,
        files: ImageFiles,
        catalog: Catalog,
        queue: FairQueue | None = None,
        clock: Clock = utc_now,
        check_safety: bool = True,
    ) -> None:
        self.catalog, self.files = catalog, files
        self.failed_loads = FailedLoads()
        self.checks_safety = check_safety
        self.is_closed = False
        """Whether the operator wants no new requests for now."""
        self.on_change: Callable[[str], None] = lambda job_id: None
        self.watchers = Watchers()
        self._pool, self._store, self._clock = pool, store, clock
        self._queue = FairQueue() if queue is None else queue  # an empty queue is falsy
        self._queue.price_load_of = lambda name: price_load_of(self.catalog, name)
        self._jobs = ActiveJobs(lambda name: self.catalog.work_of(name))
        self.compute_oldest_s = self._jobs.compute_oldest_s
        self._restorer = SourceRestorer(store=store, files=files, paint=self._paint_unseen)
        self._dispatcher = Dispatcher(
            pool=pool,
            store=store,
            files=files,
            queue=self._queue,
            jobs=self._jobs,
            check_safety=check_safety,
            lookup_hashes=lambda spec: lookup_hashes(spec, self.catalog),
            restore=self._restorer.restore,
            abandon=self._abandon,
            on_change=self._tell,
            on_end=self._handle_image_end,
        )
        self._forecast = WaitEstimates(self._jobs, self._queue, lambda: self.members.num_interruptions)
        self._arriving: Counter[tuple[int, int]] = Counter()
        self._boosts: dict[int, dict[int, float]] = {}
        self._recovered = asyncio.Event()

    @property
    def is_paused(self) -> bool:
        """Whether nothing new is begun for now: what is being painted ends, what waits keeps its place."""
        return self._dispatcher.is_paused

    def pause(self, is_paused: bool) -> None:
        """Begin nothing new, or go on. Waiting users are notified."""
        self._dispatcher.pause(is_paused)

    # What people ask for.

    async def submit(
        self,
        request: GenerationRequest,
        owner: Owner,
        *,
        reply_to: ReplyTo | None = None,
        role_ids: Collection[int] = (),
        attached: Collection[str] = (),
        may_use_all: bool = False,
        handling: FlaggedHandling = FlaggedHandling(),  # noqa: B008 - frozen
        asked_at: datetime | None = None,
        is_checked: bool = False,
    ) -> Job:
        """Accept a request: when this returns, the job is on disk and will end. Raise `RefusedError` otherwise.

        `role_ids` are the owner's roles in the guild, for quotas of roles; `attached` are the files that came with the
        request; `may_use_all` is for the operator at the shell, who may start from any file; `handling` is the guild's
        choice for flagged pictures; `asked_at` is the time of the request by Discord's clock, else it is now;
        `is_checked`: it has passed `check`, but for the names of its files: that is not done again.
        """
        await self._recovered.wait()  # else a job accepted meanwhile would be taken up twice
        if may_use_all:
            is_from_upload = await starts_from_upload(request.spec, owner, self._store)
        else:
            is_from_upload = await require_sources(request, owner, self._store, attached=attached)
        self.require_open()
        self.members.require_memory(request)
        if not is_checked:
            require_paintable(request, self.catalog)
        self._require_room(request.count, owner)
        job = build_job(
            request,
            owner,
            work_of=self.catalog.work_of,
            created_at=asked_at or self._clock(),
            is_from_upload=is_from_upload,
            boost=self.get_boost(owner.guild_id, role_ids),
            handling=handling,
        )
        self._arriving[owner.guild_id, owner.user_id] += request.count
        # Shielded: a caller who is cancelled now must not leave a job that is accepted but not in the line.
        await asyncio.shield(self._accept(job, reply_to, role_ids, attached))
        return job

    async def _accept(
        self, job: Job, reply_to: ReplyTo | None, role_ids: Collection[int] = (), attached: Collection[str] = ()
    ) -> None:
        owner, count = job.owner, job.request.count
        try:
            await self._store.accept(job, reply_to, role_ids=role_ids, attached=attached)
        finally:
            self._arriving[owner.guild_id, owner.user_id] -= count
        reached("accepted")
        log.info("job=%s guild=%s action=accepted images=%s", job.id, owner.guild_id, count)
        self._enqueue(job)

    async def _paint_unseen(self, request: GenerationRequest, owner: Owner) -> Job:
        """Paint a request that no user is shown. It needs no room in line: one that has its place waits for it."""
        assert request.replay is not None and request.replay.original is not None
        if (begun := self._find_unseen(request.replay.original)) is not None:  # before a restart
            return await self.finished(begun)
        is_from_upload = await starts_from_upload(request.spec, owner, self._store)
        work_of, at = self.catalog.work_of, self._clock()
        job = build_job(request, owner, work_of=work_of, created_at=at, is_from_upload=is_from_upload)
        self._arriving[owner.guild_id, owner.user_id] += request.count
        await asyncio.shield(self._accept(job, None))
        return await self.finished(job.id)

    async def _abandon(self, sha256: str) -> None:
        """Cancel a repaint that no image waits for any more."""
        if (job_id := self._find_unseen(sha256)) is not None:
            await self.cancel(job_id)

    def _find_unseen(self, sha256: str) -> str | None:
        """Return the id of the live job that paints this file again."""
        replays = ((live.job.id, live.job.request.replay) for live in self._jobs)
        return next((id for id, replay in replays if replay and replay.is_unseen and replay.original == sha256), None)

    def check(self, request: GenerationRequest, owner: Owner) -> None:
        """Raise `RefusedError` if it is plain without asking the store that `submit` would refuse."""
        self.require_open()
        require_paintable(request, self.catalog)
        self._require_room(request.count, owner)

    def _require_room(self, count: int, owner: Owner) -> None:
        """Raise `RefusedError` if so many more pictures of this owner have no room in the queue."""
        tenant = (owner.guild_id, owner.user_id)
        self._queue.check_room(*tenant, count, num_arriving=self._arriving[tenant])

    def require_open(self) -> None:
        """Raise `DrainingError` or `ClosedError` while no request at all is accepted."""
        if self._dispatcher.is_draining:
            raise DrainingError
        if self.is_closed:
            raise ClosedError

    async def cancel(self, job_id: str) -> bool:
        """Stop what has not ended of a job: waiting images at no cost, running ones for the steps they took.

        False if there was nothing left to stop.
        """
        await self._recovered.wait()
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return False
        for live in list(live_job.images.values()):
            await self._dispatcher.cancel(live)
        return True

    def list_user_jobs(self, user_id: int) -> list[str]:
        """Return the ids of a user's jobs that have not ended, in every guild."""
        return [live.job.id for live in self._jobs if live.job.owner.user_id == user_id]

    def is_live(self, job_id: str) -> bool:
        """Return whether the job has not ended; far cheaper than `view`."""
        return job_id in self._jobs

    def view(self, job_id: str) -> JobView | None:
        """Return a live job as it stands now; None if it ended or never existed (ask the store)."""
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return None
        stations = [Station(each.name, each.held, each.num_slots, each.pace) for each in self.members]
        self._forecast.refresh(live_job, stations, first=self._dispatcher.suspects)
        waiting = [each.image.id for each in live_job.images.values() if each.image.status is Status.WAITING]
        return JobView(
            job=live_job.job,
            progress=live_job.progress,
            images_ahead=self._forecast.place(waiting),
            wait_s=None if self._is_held_up(waiting) else self._forecast.wait_s(live_job.images.keys()),
            preview=live_job.preview,
        )

    def _is_held_up(self, waiting: Collection[str]) -> bool:
        """Return whether there is no estimate for a job of which these images wait."""
        return not self.is_ready or (self.is_paused and bool(waiting))

    async def finished(self, job_id: str) -> Job:
        """Wait until a job has ended, and return it as it ended. Raise `UnknownJobError`."""
        await self._recovered.wait()
        live_job = self._jobs.get(job_id)
        if live_job is None:
            return await self._store.fetch_job(job_id)
        return await asyncio.shield(live_job.ended)

    def list_live_ids(self) -> list[str]:
        """Return the ids of all live jobs, oldest first."""
        return [live_job.job.id for live_job in self._jobs]

    def list_guild_jobs(self, guild_id: int) -> list[JobView]:
        """Return the live jobs of one guild, oldest first."""
        views = (self.view(live.job.id) for live in self._jobs if live.job.owner.guild_id == guild_id)
        return [view for view in views if view is not None]

    @property
    def num_waiting(self) -> int:
        return len(self._queue) + len(self._dispatcher.suspects)

    @property
    def num_running(self) -> int:
        return len(self._dispatcher.at_worker)

    @property
    def is_ready(self) -> bool:
        return self._pool.num_slots > 0

    @property
    def members(self) -> Members:
        """The workers, each as it stands."""
        return self._dispatcher.members

    @property
    def workers(self) -> tuple[WorkerStatus, ...]:
        """What operators see of the workers."""
        return tuple(list_status(self.members, self._pool))

    @property
    def units_per_s(self) -> float | None:
        """Cost units that all workers together painted a second recently; None before anything was measured."""
        return self.members.units_per_s

    def set_weight(self, guild_id: int, weight: float) -> None:
        self._queue.set_weight(guild_id, weight)

    def set_boost(self, boost: RoleBoost) -> None:
        """Set what members of a role may claim inside their guild. Takes effect with their next requests."""
        self._boosts.setdefault(boost.guild_id, {})[boost.role_id] = boost.boost

    def forget_claims(self, guild_id: int) -> None:
        """Reset a guild's weight and the boosts of its roles."""
        self.set_weight(guild_id, 1.0)
        self._boosts.pop(guild_id, None)

    def get_boost(self, guild_id: int, role_ids: Collection[int]) -> float:
        """Return the highest boost of a member's roles; 1 without one. The role whose id is the guild's is everyone."""
        boosts = self._boosts.get(guild_id, {})
        return max((boosts[role_id] for role_id in (*role_ids, guild_id) if role_id in boosts), default=1.0)

    def share_of(self, guild_id: int) -> tuple[float, float]:
        """Return `(weight, part)`: a guild's weight, and the part of the machine it may claim now, 0 to 1."""
        return self._queue.share_of(guild_id)[0], self._queue.claim_of(guild_id)

    async def use_catalog(self, catalog: Catalog) -> None:
        """Offer these models from now on. What waits for one that is gone fails, refunded; what is painted ends."""
        await self._pool.update(catalog.models)  # first, so that no order for a new model comes before it
        self.catalog = catalog

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        """What is in the memory of the workers, one after the other."""
        return tuple(info for each in self.members for info in each.member.worker.loaded_models)

    def list_unusable_models(self) -> Mapping[str, str]:
        """Return why models and checkers cannot be used, by name: left out, or found out since. Reads files."""
        return {**self.catalog.left_out, **self.failed_loads.of(self.catalog.loadable)}

    # The life of the service.

    async def run(self) -> None:
        """Recover, start the worker, and work until cancelled. Raise `ConfigurationError` if no engine can be up."""
        await self.recover()
        await self._pool.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._dispatcher.run(), name="dispatcher")
                tasks.create_task(self._keep_counters(), name="keep counters")
        except BaseExceptionGroup as failed:
            raise unwrap_group(failed) from failed
        finally:
            self._restorer.close()

    async def recover(self) -> None:
        """Take up every job that an earlier run left unfinished. A job that can no longer be painted fails alone."""
        jobs = await self._store.fetch_unfinished()
        waiting: list[Waiting] = []
        outdated: list[ActiveImage] = []
        for job in jobs:
            for live in self._jobs.add(job).images.values():
                if is_paintable(job, live.image):
                    waiting.append(make_waiting(job, live.image))
                else:
                    outdated.append(live)
        self._queue.restore(await self._store.fetch_counters(), waiting)
        for live in outdated:
            await self._fail_outdated(live)
        if jobs:
            log.info("action=recovered jobs=%s images=%s", len(jobs), len(waiting))
        self._recovered.set()
        self._dispatcher.wake()
        for job in jobs:
            self._tell(job.id)

    async def _fail_outdated(self, live: ActiveImage) -> None:
        """End an image that this release cannot paint: refund it and tell its owner."""
        outcome = Outcome(status=Status.FAILED, charged=0, error=OutdatedError.code)
        await self._store.settle(live.image.id, live.image.attempt, outcome)
        self._handle_image_end(live, outcome)

    async def drain(self, *, grace_s: float) -> None:
        """Stop accepting and starting work, and give running images `grace_s` to end."""
        self._dispatcher.is_draining = True
        live = [live_job.ended for live_job in self._jobs if live_job.job.status is Status.RUNNING]
        if live:
            await asyncio.wait(live, timeout=grace_s)
        if self._recovered.is_set():  # else there is nothing newer than what is stored
            await self._store.save_counters(self._queue.counters())

    def _handle_image_end(self, live: ActiveImage, outcome: Outcome) -> None:
        if outcome.status is Status.DONE:
            self._forecast.learn(live)
        live_job = self._jobs.of_image(live.image.id)
        live_job.record_end(live.image.id, outcome)
        if live_job.job.is_end:
            self._jobs.remove(live_job.job.id)
            live_job.ended.set_result(live_job.job)
        self._tell(live_job.job.id)

    def _tell(self, job_id: str) -> None:
        self.on_change(job_id)
        self.watchers.notify(job_id)

    def _enqueue(self, job: Job) -> None:
        for live in self._jobs.add(job).images.values():
            self._queue.push(make_waiting(job, live.image))
        self._dispatcher.wake()

    async def _keep_counters(self) -> None:
        saved: dict[int, float] = {}
        while True:
            await asyncio.sleep(_COUNTERS_EVERY_S)
            counters = self._queue.counters()
            if counters != saved:
                await retry_write(lambda now=counters: self._store.save_counters(now))  # type: ignore[misc]
                saved = counters
