"""A write is counted when it is on disk: neither when it is undone, nor when its transaction fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.counting import count_when_committed
from db.engine import Database
from db.stores.deliveries import DeliveryStore
from db.stores.jobs import JobStore
from generation import metrics
from generation.jobs.delivery import DeliveryWay
from generation.jobs.job import Status
from tests.db.some_jobs import a_job, a_reply, ended
from tests.reliability.agreement import compare, count_here, count_in_database
from tests.reliability.books import Books


def counting(counted: list[str], name: str, *, fails: bool = False) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        count_when_committed(session, lambda: counted.append(name))
        if fails:
            raise LookupError(name)

    return work


async def test_what_is_undone_is_not_counted(database: Database) -> None:
    counted: list[str] = []
    await database.write(counting(counted, "kept"))
    with pytest.raises(LookupError):
        await database.write(counting(counted, "undone", fails=True))
    assert counted == ["kept"]


async def test_a_commit_that_fails_is_counted_as_a_failure_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OperationalError("COMMIT", None, Exception("database or disk is full"))

    counted: list[str] = []
    failures = metrics.WRITE_FAILURES._value.get()
    monkeypatch.setattr(database.backend.writing.dialect, "do_commit", refuse)
    with pytest.raises(OperationalError):
        await database.write(counting(counted, "never"))
    monkeypatch.undo()
    assert counted == []
    assert metrics.WRITE_FAILURES._value.get() == failures + 1


async def test_what_was_counted_is_what_is_stored(database: Database, url: str) -> None:
    """Also where a write changes nothing: a stale settle, a second posting, a picture that is withheld twice."""
    before, jobs, deliveries = count_here(), JobStore(database), DeliveryStore(database)
    job, other = a_job(count=2), a_job()
    for each in (job, other):
        await jobs.accept(each, a_reply())
    attempt = await jobs.claim(job.images[0].id)
    assert await jobs.claim(job.images[0].id) is None
    assert not await jobs.settle(job.images[0].id, 7, ended(Status.DONE))
    assert await jobs.settle(job.images[0].id, attempt, ended(Status.DONE))
    assert await jobs.settle(job.images[1].id, 0, ended(Status.CANCELLED))
    for _ in range(2):
        await jobs.withhold(job.images[0].id)
        await deliveries.mark_posted(job.id, DeliveryWay.TOKEN)
    assert await jobs.claim(other.images[0].id)
    counted = Counter(count_here())
    counted.subtract(before)
    books = Books(url)
    assert compare(count_in_database(books), counted) == ({}, {})
    assert counted["withheld"] == counted["cancelled"] == counted["posted"] == 1
    books.close()
