"""Requests that arrive together are accepted in the statements of one, each by its own quotas."""

from collections import Counter

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.admin.reconcile import reconcile
from db.engine import Database
from db.group_commit import OneOfMany
from db.stores.accepting import Request, accept_all
from db.stores.jobs import JobStore, _claim_all
from db.stores.quotas import QuotaStore
from generation.errors import QuotaExceededError
from generation.jobs.job import Job
from generation.policy.quota import Quota, Scope, Unit
from tests.db.kinds import on_both
from tests.db.some_jobs import a_job, a_reply
from tests.db.test_group_commit import statements as statements
from tests.db.test_group_commit import write_at_once
from tests.stored import fetch_jobs

pytestmark = on_both
FREE, LIMITED, BY_USER = 1, 2, 3


def asking(job: Job) -> OneOfMany[Request]:
    return OneOfMany(accept_all, Request(job, a_reply(), (), ()))


async def test_a_crowd_is_accepted_as_far_as_quotas_go(database: Database) -> None:
    await QuotaStore(database).set_quota(LIMITED, Quota(scope=Scope.GUILD, subject_id=0, unit=Unit.IMAGES, limit=5))
    await QuotaStore(database).set_quota(BY_USER, Quota(scope=Scope.USER, subject_id=11, unit=Unit.IMAGES, limit=2))
    jobs = [a_job(guild=1 + number % 3, user=11 + number % 2, count=1 + number % 2) for number in range(30)]
    jobs += [a_job(guild=LIMITED, user=99, count=6)]
    outcomes = await write_at_once(database, *map(asking, jobs))
    accepted = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
    assert {type(outcome) for outcome in outcomes} == {type(None), QuotaExceededError}
    images = Counter[tuple[int, int]]()
    for job in accepted:
        images[job.owner.guild_id, job.owner.user_id] += len(job.images)
    assert sum(len(job.images) for job in jobs if job.owner.guild_id == FREE) == images[FREE, 11] + images[FREE, 12]
    assert images[LIMITED, 11] + images[LIMITED, 12] == 5
    assert images[BY_USER, 11] == 2
    assert (await reconcile(database)).is_exact
    stored = [each.id for owner in {job.owner for job in jobs} for each in await fetch_jobs(JobStore(database), owner)]
    assert sorted(stored) == sorted(job.id for job in accepted)
    known = await database.read(lambda session: set(session.scalars(text("SELECT user_id FROM members"))))
    assert known == {11, 12}, "nothing is kept of one who was refused"


async def test_as_many_as_come_together_are_the_statements_of_one(database: Database, statements: list[str]) -> None:
    assert await write_at_once(database, *(asking(a_job(user=11 + number)) for number in range(20))) == [None] * 20
    assert len([each for each in statements if each.startswith("INSERT INTO jobs")]) == 1
    assert len(statements) < 20


async def test_one_that_cannot_be_written_takes_no_other_with_it(database: Database) -> None:
    jobs = [a_job(), a_job(), a_job()]
    outcomes = await write_at_once(database, *map(asking, [*jobs, jobs[1]]))
    assert outcomes[:3] == [None] * 3
    assert isinstance(outcomes[3], IntegrityError)
    assert {each.id for each in await JobStore(database).fetch_unfinished()} == {job.id for job in jobs}
    assert (await reconcile(database)).is_exact


async def test_an_image_that_is_claimed_twice_at_once_is_claimed_once(database: Database) -> None:
    job = a_job(count=3)
    await JobStore(database).accept(job)
    one, two, three = (image.id for image in job.images)
    asked = [one, two, one, "not there", three]
    claimed = await write_at_once(database, *(OneOfMany(_claim_all, image_id) for image_id in asked))
    assert claimed == [1, 1, None, None, 1]
