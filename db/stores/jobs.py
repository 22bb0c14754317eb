"""The memory of jobs: what was accepted, who works on it, how it ended, what it cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from async_lru import alru_cache
from sqlalchemy import bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from db.counting import count_when_committed
from db.engine import Database
from db.file_watch import DatabaseLostError
from db.group_commit import DatabaseClosedError, OneOfMany
from db.models import CounterRow, DeliveryRow, ImageFileRow, ImageRow, JobRow, table
from db.sql import Executor
from db.stores.accepting import Request, accept_all
from db.stores.image_files import AT_ONCE, IS_ALIVE, IS_RESULT, forget_pictures, record_result
from db.stores.job_rows import build_image, build_job, build_jobs, select_images, select_jobs
from db.stores.ledger import Account, make_ending, post
from db.stores.reviews import keep_for_review
from db.stores.sources import fetch_sources, keeps
from db.stores.withheld import fetch_withheld, withhold
from generation import metrics
from generation.clock import Clock, utc_now
from generation.errors import NotAcceptedError, UnknownJobError
from generation.jobs import ports
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Image, Job, Outcome, ReplyTo, Source, Status
from generation.owner import Owner
from generation.policy.quota import find_window
from generation.requests.spec import ImageSpec

log = logging.getLogger(__name__)
WITHHELD_REMEMBERED = timedelta(hours=1)
CLOCK_IS_SET_BY = timedelta(days=1)
"""So much the clock of this machine may be set while it runs: what ended within it is looked at, too."""

_jobs = table(JobRow)
_images = table(ImageRow)
_deliveries = table(DeliveryRow)
_ACCOUNT = select(_jobs.c.guild_id, _jobs.c.member_key, _jobs.c.created_at).where(_jobs.c.id == bindparam("job_id"))
_THIS = _images.c.id == bindparam("image_id")
_THIS_ATTEMPT = _images.c.attempt == bindparam("of_attempt")
_CLAIM = (
    update(_images)
    .where(_images.c.id.in_(bindparam("image_ids", expanding=True)), _images.c.status == Status.WAITING)
    .values(status=Status.RUNNING, attempt=_images.c.attempt + 1)
    .returning(_images.c.id, _images.c.attempt)
)
_RELEASE = (
    update(_images)
    .where(_THIS, _THIS_ATTEMPT, _images.c.status == Status.RUNNING)
    .values(status=Status.WAITING)
    .returning(_images.c.id)
)
_ENDING = ("status", "charged", "recipe", "error", "judgement", "ended_at")
_SETTLE = (
    update(_images)
    .where(_THIS, _THIS_ATTEMPT, IS_ALIVE)
    .values({name: bindparam(name) for name in _ENDING})
    .returning(_images.c.job_id, _images.c.reserved)
)
_MAKE_DUE = (
    update(_deliveries)
    .where(
        _deliveries.c.job_id == bindparam("of_job"),
        _deliveries.c.state == DeliveryState.LIVE,
        ~exists().where(_images.c.job_id == bindparam("of_job"), IS_ALIVE),
    )
    .values(state=DeliveryState.DUE)
)


class JobStore(ports.JobStore):
    """`generation.jobs.ports.JobStore` in the database. Times of ends and postings come from `clock`."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._withheld = alru_cache(maxsize=1, ttl=WITHHELD_REMEMBERED.total_seconds())(self._read_withheld)

    async def accept(
        self,
        job: Job,
        reply_to: ReplyTo | None = None,
        *,
        role_ids: Collection[int] = (),
        attached: Collection[str] = (),
    ) -> None:
        """See the port. `role_ids`: the owner's roles in the guild, for quotas by role (everyone's is implied)."""
        try:
            await self._database.write(OneOfMany(accept_all, Request(job, reply_to, role_ids, attached)))
        except IntegrityError:  # a mistake of the program, not of the disk
            raise
        except (DatabaseError, PoolTimeoutError, DatabaseClosedError, DatabaseLostError) as error:
            reason = getattr(error, "orig", None) or type(error).__name__
            log.warning("storage failed, not accepted job=%s guild=%s error=%s", job.id, job.owner.guild_id, reason)
            raise NotAcceptedError from error

    async def claim(self, image_id: str) -> int | None:
        return await self._database.write(OneOfMany(_claim_all, image_id))

    async def release(self, image_id: str, attempt: int) -> bool:
        return await self._database.write(lambda session: _release(session, image_id, attempt))

    async def settle(self, image_id: str, attempt: int, outcome: Outcome) -> bool:
        if not outcome.status.is_end:
            raise ValueError(f"{outcome.status} is not an end")
        is_withheld = outcome.status is Status.WITHHELD
        return await self._database.write(
            lambda session: settle_image(session, image_id, attempt=attempt, outcome=outcome, at=self._clock()),
            then=self.forget_withheld if is_withheld else lambda: None,
        )

    async def fetch_job(self, job_id: str) -> Job:
        return await self._database.read(lambda session: _fetch_job(session, job_id))

    async def fetch_painted(self, sha256: str) -> Image | None:
        return await self._database.read(lambda session: _fetch_painted(session, sha256))

    async def fetch_sources(self, files: Collection[str], owner: Owner) -> Mapping[str, Source]:
        return await self._database.read(lambda session: fetch_sources(session, files, owner))

    async def keeps(self, spec: ImageSpec, trace: str, pixels_sha256: str, owner: Owner) -> bool:
        return await self._database.read(lambda session: keeps(session, spec, trace, pixels_sha256, owner))

    async def fetch_unfinished(self) -> list[Job]:
        await self._database.write(_let_wait)
        return await self._database.read_apart(_fetch_unfinished)

    async def withhold(self, image_id: str) -> list[str]:
        """Withhold a finished picture that may not be shown where it should have gone: refund it, remove its file.

        Return the SHA-256 of the files nothing needs any more. Nothing happens to an image that is not DONE.
        """
        files = await self._database.write(
            lambda session: withhold(session, image_id, at=self._clock()), then=self.forget_withheld
        )
        return sorted(files)

    async def num_withheld(self, owner: Owner, *, since: datetime) -> int:
        """Return how many of the owner's pictures in that guild since then, an hour ago at most, were withheld.

        Asked at every request, so it is kept in memory; only this store withholds.
        """
        return sum(at >= since for at in (await self._withheld()).get(owner, ()))

    def forget_withheld(self) -> None:
        """Read again who had pictures withheld: one more, or one who has been erased."""
        self._withheld.cache_clear()

    async def _read_withheld(self) -> Mapping[Owner, Sequence[datetime]]:
        ended_since = self._clock() - WITHHELD_REMEMBERED - CLOCK_IS_SET_BY
        return await self._database.read(lambda session: fetch_withheld(session, ended_since=ended_since))

    async def forget_pictures(self, job_id: str) -> list[str]:
        """Remove a job's finished pictures. Return the SHA-256 of the files that nothing needs any more."""
        return sorted(await self._database.write(lambda session: forget_pictures(session, job_id)))

    async def fetch_counters(self) -> dict[int, float]:
        return await self._database.read(
            lambda session: {
                row.guild_id: row.counter
                for row in session.scalars(select(CounterRow))
                if isinstance(row.counter, int | float) and math.isfinite(row.counter)
            }
        )

    async def save_counters(self, counters: Mapping[int, float]) -> None:
        """Replace all counters by these: a guild that is not named has none."""
        await self._database.write(lambda session: _save_counters(session, counters))


def settle_image(session: Session, image_id: str, *, attempt: int, outcome: Outcome, at: datetime) -> bool:
    """End an image, post what it costs, and make its job's delivery due if it was the last.

    Return False for a stale attempt. The WHERE is the fence: status and attempt are checked by the statement that
    changes them.
    """
    values = {name: getattr(outcome, name) for name in _ENDING if name != "ended_at"}
    fence = {"image_id": image_id, "of_attempt": attempt}
    connection = session.connection()
    changed = connection.execute(_SETTLE, {**values, **fence, "ended_at": at}).one_or_none()
    if changed is None:
        return False
    job_id, reserved = changed
    if outcome.file_sha256 is not None:
        record_result(connection, image_id, outcome.file_sha256)
    if outcome.review_sha256 is not None:
        keep_for_review(session, job_id, image_id, outcome.review_sha256, at=at)
    posting = make_ending(image_id, reserved=reserved, charged=outcome.charged)
    post(connection, find_account(connection, job_id), [posting], at=at)
    connection.execute(_MAKE_DUE, {"of_job": job_id})
    count_when_committed(session, metrics.IMAGES_ENDED.labels(outcome.status).inc)
    return True


def find_account(session: Executor, job_id: str) -> Account:
    """Return the account that a job's images are posted to: the window is that of the job, whenever they end."""
    guild_id, member_key, created_at = session.execute(_ACCOUNT, {"job_id": job_id}).one()
    return Account(guild_id=guild_id, member_key=member_key, window=find_window(created_at))


def _claim_all(session: Session, image_ids: Sequence[str]) -> list[int | None]:
    """Return the attempt of each that is claimed now. One that is named twice is claimed once."""
    rows = session.connection().execute(_CLAIM, {"image_ids": image_ids})
    attempts: dict[str, int] = dict(map(tuple, rows))
    count_when_committed(session, partial(metrics.IMAGES_STARTED.inc, len(attempts)))
    return [attempts.pop(image_id, None) for image_id in image_ids]


def _release(session: Session, image_id: str, attempt: int) -> bool:
    return session.scalar(_RELEASE, {"image_id": image_id, "of_attempt": attempt}) is not None


def _fetch_job(session: Session, job_id: str) -> Job:
    row = session.get(JobRow, job_id)
    if row is None:
        raise UnknownJobError
    return build_job(row)


def _fetch_painted(session: Session, sha256: str) -> Image | None:
    made = select(ImageRow).join(ImageFileRow, ImageFileRow.image_id == ImageRow.id)
    made = made.where(ImageFileRow.sha256 == sha256, IS_RESULT, ImageRow.recipe.is_not(None))
    row = session.scalars(made.limit(1)).first()
    return None if row is None else build_image(row)


def _let_wait(session: Session) -> None:
    """Let images wait again that an earlier run left running."""
    session.execute(
        update(ImageRow)
        .where(ImageRow.status == Status.RUNNING, IS_ALIVE)
        .values(status=Status.WAITING)
        .execution_options(synchronize_session=False)
    )


def _fetch_unfinished(session: Session) -> list[Job]:
    alive, some = select(ImageRow.job_id).where(IS_ALIVE), {"yield_per": AT_ONCE}
    images = select_images().where(ImageRow.job_id.in_(alive)).order_by(ImageRow.job_id, ImageRow.position)
    jobs = select_jobs().where(JobRow.id.in_(alive)).order_by(JobRow.created_at, JobRow.id)
    found = session.execute(images, execution_options=some)
    return build_jobs(session.execute(jobs, execution_options=some), found)


def _save_counters(session: Session, counters: Mapping[int, float]) -> None:
    session.execute(delete(CounterRow))
    if counters:
        rows = [{"guild_id": guild_id, "counter": counter} for guild_id, counter in counters.items()]
        session.execute(insert(CounterRow), rows)
