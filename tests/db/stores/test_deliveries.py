"""Deliveries: the destination of an answer is stored, and an ended delivery does not start again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from db.engine import Database
from db.stores.deliveries import DeliveryStore
from db.stores.jobs import JobStore
from generation.errors import UnknownJobError
from generation.jobs.delivery import Delivery, DeliveryState
from generation.jobs.job import Job, Status
from tests.db.kinds import on_both_long
from tests.db.some_jobs import NOW, a_job, a_reply, ended

pytestmark = on_both_long


@pytest.fixture
def deliveries(database: Database) -> DeliveryStore:
    return DeliveryStore(database)


async def a_due_job(database: Database, *, minute: int = 0) -> Job:
    job = a_job(at=NOW + timedelta(minutes=minute))
    await JobStore(database).accept(job, a_reply())
    await JobStore(database).settle(job.images[0].id, 0, ended(Status.FAILED))
    return job


async def test_where_the_answer_goes_comes_back_as_it_was(database: Database, deliveries: DeliveryStore) -> None:
    job = a_job()
    await JobStore(database).accept(job, a_reply())
    assert await deliveries.fetch(job.id) == Delivery(job_id=job.id, reply_to=a_reply(), state=DeliveryState.LIVE)
    assert await deliveries.set_message(job.id, channel_id=5, message_id=2**62)
    assert (await deliveries.fetch(job.id)).reply_to == replace(a_reply(), channel_id=5, message_id=2**62)


async def test_a_job_from_the_shell_has_no_delivery(database: Database, deliveries: DeliveryStore) -> None:
    job = a_job()
    await JobStore(database).accept(job)
    with pytest.raises(UnknownJobError):
        await deliveries.fetch(job.id)
    assert not await deliveries.set_message(job.id, channel_id=1, message_id=1)


async def test_results_stay_due_oldest_first_until_delivered(database: Database, deliveries: DeliveryStore) -> None:
    second, first = await a_due_job(database, minute=1), await a_due_job(database)
    assert [due.job_id for due in await deliveries.fetch_due()] == [first.id, second.id]
    assert await deliveries.mark_tried(first.id, "503 " * 100)
    tried = await deliveries.fetch(first.id)
    assert (tried.state, tried.attempts, tried.last_error) == (DeliveryState.DUE, 1, ("503 " * 100)[:200])
    assert await deliveries.mark_posted(first.id)
    assert [due.job_id for due in await deliveries.fetch_due()] == [second.id]


async def test_an_ended_delivery_stays_ended_and_forgets_its_token(
    database: Database, deliveries: DeliveryStore
) -> None:
    job = await a_due_job(database)
    assert await deliveries.mark_kept(job.id, "Missing Permissions")
    kept = await deliveries.fetch(job.id)
    assert (kept.state, kept.last_error, kept.reply_to.token) == (DeliveryState.KEPT, "Missing Permissions", None)
    assert not await deliveries.mark_posted(job.id)
    assert not await deliveries.mark_tried(job.id, "late")
    assert await deliveries.fetch(job.id) == kept


async def test_an_undelivered_result_can_be_due_again_a_posted_one_cannot(
    database: Database, deliveries: DeliveryStore
) -> None:
    job = await a_due_job(database)
    assert not await deliveries.reopen(job.id), "it is due already"
    await deliveries.mark_kept(job.id, "no permission")
    assert await deliveries.reopen(job.id)
    assert [due.job_id for due in await deliveries.fetch_due()] == [job.id]
    await deliveries.mark_posted(job.id)
    assert not await deliveries.reopen(job.id)
    assert (await deliveries.fetch(job.id)).state is DeliveryState.POSTED
