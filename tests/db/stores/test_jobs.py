"""Accept, claim and settle: what is written, what is refused, and that a refusal leaves nothing behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from db.admin.reconcile import reconcile
from db.engine import Database
from db.models import ImageRow, JobRow, LedgerRow, MemberRow
from db.stores.deliveries import DeliveryStore
from db.stores.jobs import JobStore
from db.stores.ledger import _RESERVED_BY
from db.stores.quotas import QuotaStore
from generation.errors import QuotaExceededError, UnknownJobError
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Status
from generation.owner import Owner
from generation.policy.quota import Quota, Scope, Unit, Usage
from generation.requests.cost import COST_VERSION
from generation.requests.edits import StartImage, Variation
from tests.db.kinds import on_both, on_sqlite
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_reply, a_spec, done, ended
from tests.stored import fetch_image, fetch_usage

pytestmark = on_both


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, clock=lambda: NOW + timedelta(hours=1))


async def usage(database: Database, user: int = USER) -> Usage:
    return await fetch_usage(database, Owner(GUILD, user), since=NOW - timedelta(days=1))


async def guild_usage(database: Database) -> Usage:
    return await QuotaStore(database).fetch_guild_usage(GUILD, since=NOW - timedelta(days=1))


async def test_an_accepted_job_comes_back_as_it_was(jobs: JobStore) -> None:
    spec = a_spec(
        prompt="“naïve” 絵 🎨",
        guidance=0.1 + 0.2,
        start=StartImage(sha256="a" * 64, strength=0.3, mask_sha256="b" * 64),
        variation=Variation(seed=2**32 - 1, strength=0.05),
    )
    job = a_job(count=4, spec=spec)
    await jobs.accept(job, a_reply())
    assert await jobs.fetch_job(job.id) == job
    assert await fetch_image(jobs, job.images[3].id) == job.images[3]


@pytest.mark.parametrize("unknown", ["", "nothing", "0" * 22, "' OR 1=1 --"])
async def test_a_missing_job_is_unknown(jobs: JobStore, unknown: str) -> None:
    with pytest.raises(UnknownJobError):
        await jobs.fetch_job(unknown)


async def test_an_image_goes_to_one_worker_only(jobs: JobStore) -> None:
    job = a_job()
    await jobs.accept(job)
    claims = await asyncio.gather(*(jobs.claim(job.images[0].id) for _ in range(20)))
    assert sorted(claims, key=str) == [1] + [None] * 19
    assert await jobs.claim("nothing-0") is None


async def test_a_released_image_waits_again_and_its_next_attempt_fences_off_the_last(
    database: Database, jobs: JobStore
) -> None:
    job = a_job()
    image_id = job.images[0].id
    await jobs.accept(job)
    assert await jobs.claim(image_id) == 1
    assert await jobs.release(image_id, 1)
    assert not await jobs.release(image_id, 1)
    assert await jobs.claim(image_id) == 2
    assert not await jobs.release(image_id, 1)
    assert not await jobs.settle(image_id, 1, done(job, file="stale"))
    assert await jobs.settle(image_id, 2, done(job, file="new"))
    assert (await fetch_image(jobs, image_id)).file_sha256 == "new"


async def test_a_settled_image_keeps_its_recipe_and_cannot_end_twice(database: Database, jobs: JobStore) -> None:
    job = a_job()
    image_id = job.images[0].id
    await jobs.accept(job)
    await jobs.claim(image_id)
    outcome = done(job)
    answers = await asyncio.gather(*(jobs.settle(image_id, 1, outcome) for _ in range(10)))
    assert answers.count(True) == 1
    image = await fetch_image(jobs, image_id)
    expected: dict[str, Any] = {
        "status": Status.DONE,
        "attempt": 1,
        "charged": outcome.charged,
        "recipe": outcome.recipe,
    }
    assert image == replace(job.images[0], **expected, file_sha256=outcome.file_sha256)
    assert await usage(database) == Usage(num_images=1, used=outcome.charged)
    assert await guild_usage(database) == await usage(database)


@pytest.mark.parametrize("status", [Status.WITHHELD, Status.CANCELLED, Status.FAILED])
async def test_an_unfinished_image_is_refunded_in_full(database: Database, jobs: JobStore, status: Status) -> None:
    job = a_job(count=2)
    await jobs.accept(job)
    reserved = job.images[0].reserved
    assert await usage(database) == Usage(num_images=2, reserved=2 * reserved)
    await jobs.claim(job.images[0].id)
    assert await jobs.settle(job.images[0].id, 1, ended(status))
    assert await usage(database) == Usage(num_images=1, reserved=reserved)
    assert (await reconcile(database)).is_exact


async def test_an_end_counts_in_the_window_the_image_was_asked_for_in(database: Database, jobs: JobStore) -> None:
    """The fixture's clock settles an hour later: a refund given then would leave yesterday's quota short for good."""
    job = a_job(count=2)
    await jobs.accept(job)
    await jobs.settle(job.images[0].id, 0, done(job))
    await jobs.settle(job.images[1].id, 0, ended(Status.FAILED))
    later = await fetch_usage(database, job.owner, since=NOW + timedelta(minutes=15))
    assert (later, (await usage(database)).num_images) == (Usage(), 1)


async def test_a_cancelled_running_image_pays_the_steps_it_took(database: Database, jobs: JobStore) -> None:
    job = a_job()
    await jobs.accept(job)
    await jobs.claim(job.images[0].id)
    assert await jobs.settle(job.images[0].id, 1, ended(Status.CANCELLED, charged=123))
    assert await usage(database) == Usage(num_images=1, used=123)


async def test_a_waiting_image_is_settled_with_the_attempt_it_has(jobs: JobStore) -> None:
    job = a_job()
    await jobs.accept(job)
    assert not await jobs.settle(job.images[0].id, 1, ended(Status.CANCELLED))
    assert await jobs.settle(job.images[0].id, 0, ended(Status.CANCELLED))
    assert await jobs.claim(job.images[0].id) is None


async def test_an_outcome_that_is_no_end_is_refused(jobs: JobStore) -> None:
    with pytest.raises(ValueError, match="not an end"):
        await jobs.settle("any-0", 0, ended(Status.RUNNING))


async def test_the_delivery_is_due_when_the_last_image_ends(database: Database, jobs: JobStore) -> None:
    deliveries = DeliveryStore(database)
    job = a_job(count=2)
    await jobs.accept(job, a_reply())
    await jobs.settle(job.images[0].id, 0, ended(Status.CANCELLED))
    assert (await deliveries.fetch(job.id)).state is DeliveryState.LIVE
    await jobs.settle(job.images[1].id, 0, ended(Status.FAILED))
    assert [due.job_id for due in await deliveries.fetch_due()] == [job.id]


async def test_running_images_wait_again_after_a_start(jobs: JobStore) -> None:
    newer, older, over = (a_job(at=NOW + timedelta(seconds=s)) for s in (5, 1, 0))
    for job in (newer, older, over):
        await jobs.accept(job)
    await jobs.claim(newer.images[0].id)
    await jobs.settle(over.images[0].id, 0, ended(Status.CANCELLED))
    unfinished = await jobs.fetch_unfinished()
    assert [job.id for job in unfinished] == [older.id, newer.id]
    assert [job.images[0].status for job in unfinished] == [Status.WAITING] * 2
    assert [job.images[0].attempt for job in unfinished] == [0, 1]
    assert await jobs.claim(newer.images[0].id) == 2


async def test_counters_are_replaced_as_a_whole(jobs: JobStore) -> None:
    assert await jobs.fetch_counters() == {}
    await jobs.save_counters({1: 0.1, GUILD: 1e12})
    await jobs.save_counters({GUILD: 2.5})
    assert await jobs.fetch_counters() == {GUILD: 2.5}
    await jobs.save_counters({})
    assert await jobs.fetch_counters() == {}


async def test_a_quota_of_100_accepts_exactly_100_of_200_simultaneous_submissions(
    database: Database, jobs: JobStore
) -> None:
    await QuotaStore(database).set_quota(GUILD, Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=100))
    every = [a_job(user=USER + n) for n in range(200)]
    answers = await asyncio.gather(*(jobs.accept(job, a_reply()) for job in every), return_exceptions=True)
    assert answers.count(None) == 100
    assert all(isinstance(answer, QuotaExceededError) for answer in answers if answer is not None)

    accepted = [job for job, answer in zip(every, answers, strict=True) if answer is None]
    reserved = sum(job.images[0].reserved for job in accepted)
    assert await guild_usage(database) == Usage(num_images=100, reserved=reserved)
    assert (await reconcile(database)).is_exact
    for table in (JobRow, ImageRow, LedgerRow, MemberRow):  # the refused left nothing, not even their names
        assert await database.read(lambda s, t=table: s.scalar(select(func.count()).select_from(t))) == 100


async def test_submissions_that_arrive_together_share_commits(database: Database, jobs: JobStore) -> None:
    commits: list[object] = []
    event.listen(database._writing, "commit", commits.append)
    await asyncio.gather(*(jobs.accept(a_job(), a_reply()) for _ in range(50)))
    together = len(commits)
    for _ in range(10):
        await jobs.accept(a_job())
    assert len(commits) - together == 10  # alone, each is durable before the next: the count does see commits
    assert together <= 2


async def test_one_refusal_does_not_spoil_the_others(database: Database, jobs: JobStore) -> None:
    taken = a_job()
    good = [a_job() for _ in range(3)]
    answers = await asyncio.gather(
        *(jobs.accept(job) for job in (good[0], taken, taken, good[1], good[2])), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == [
        "NoneType",
        "NoneType",
        "IntegrityError",
        "NoneType",
        "NoneType",
    ]
    assert await usage(database) == Usage(num_images=4, reserved=4 * taken.images[0].reserved)


async def test_recently_withheld_pictures_are_counted(jobs: JobStore, database: Database) -> None:
    """Settled so, or kept back after all; of this member and guild only; remembered, and read again when it changes."""
    num_reads = 0

    @event.listens_for(database._reading, "begin")
    def _count(_connection: object) -> None:
        nonlocal num_reads
        num_reads += 1

    late, since = NOW + timedelta(minutes=30), NOW + timedelta(minutes=20)
    owner = Owner(GUILD, USER)
    assert await jobs.num_withheld(owner, since=since) == 0
    both, others, old = a_job(count=2, at=late), a_job(user=USER + 1, at=late), a_job(at=NOW + timedelta(minutes=10))
    for job in (both, others, old):
        await jobs.accept(job)
    for image in (*both.images, *others.images, *old.images):
        attempt = await jobs.claim(image.id)
        assert attempt is not None
        is_last = image.job_id == both.id and image.index == 1
        outcome = done(both, 1) if is_last else ended(Status.WITHHELD)
        assert await jobs.settle(image.id, attempt, outcome)
    assert await jobs.num_withheld(owner, since=since) == 1
    await jobs.withhold(both.images[1].id)
    num_reads = 0
    for _ in range(3):
        assert await jobs.num_withheld(owner, since=since) == 2
    assert num_reads == 1
    assert await jobs.num_withheld(owner, since=NOW) == 3
    assert await jobs.num_withheld(Owner(GUILD + 1, USER), since=since) == 0
    assert await jobs.num_withheld(Owner(GUILD, USER + 1), since=since) == 1


async def test_every_posting_notes_the_cost_table_its_reservation_went_by(
    database: Database, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = a_job(count=2), a_job()
    monkeypatch.setattr("db.stores.ledger.COST_VERSION", COST_VERSION - 1)  # by an earlier release
    await jobs.accept(before)
    monkeypatch.undo()
    await jobs.accept(after)
    await jobs.settle(before.images[0].id, await jobs.claim(before.images[0].id), done(before))
    await jobs.settle(before.images[1].id, 0, ended(Status.CANCELLED))
    await jobs.settle(after.images[0].id, await jobs.claim(after.images[0].id), done(after))
    query = select(LedgerRow.image_id, LedgerRow.kind, LedgerRow.cost_version)
    noted = await database.read(lambda session: {tuple(row) for row in session.execute(query)})
    assert noted == {
        (before.images[0].id, "reserve", COST_VERSION - 1),
        (before.images[0].id, "settle", COST_VERSION - 1),
        (before.images[1].id, "reserve", COST_VERSION - 1),
        (before.images[1].id, "refund", COST_VERSION - 1),
        (after.images[0].id, "reserve", COST_VERSION),
        (after.images[0].id, "settle", COST_VERSION),
    }


@on_sqlite
async def test_the_table_version_of_a_reservation_is_found_by_index(database: Database) -> None:
    query = str(_RESERVED_BY.compile(compile_kwargs={"literal_binds": False}))
    steps = await database.read(
        lambda session: [
            row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", {"of_image": "x"})
        ]
    )
    assert steps == ["SEARCH ledger USING INDEX uq_ledger_reserve (image_id=?)"]
