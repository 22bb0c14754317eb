"""Random histories of jobs against a model that fits on a page: the ledger adds up in any order."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.event import listen
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from db.admin.reconcile import reconcile
from db.engine import Database, _read_once
from db.group_commit import _run_each
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from generation.errors import QuotaExceededError
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Job, Outcome, Status
from generation.owner import Owner
from generation.policy.quota import Quota, Scope, Unit, Usage
from tests.db.some_jobs import GUILD, NOW, a_job, a_reply, done, ended
from tests.stored import fetch_usage

QUOTA = 6
USERS = (1, 2)


@dataclass
class Expected:
    """The model's state of one image."""

    job: Job
    index: int
    status: Status = Status.WAITING
    attempt: int = 0
    charged: int = 0

    @property
    def id(self) -> str:
        return self.job.images[self.index].id

    @property
    def usage(self) -> Usage:
        if self.status.is_end:
            return Usage(num_images=int(self.charged > 0), used=self.charged)
        return Usage(num_images=1, reserved=self.job.images[self.index].reserved)


class Lifecycle(RuleBasedStateMachine):
    """On a real file, with the real group commit; a crash is a copy of the file at that moment."""

    images = Bundle("images")
    template: bytes
    checks_every_step = True

    @initialize()
    def begin(self) -> None:
        self.model: dict[str, Expected] = {}
        self.prepare()
        self.open()
        self.run(QuotaStore(self.database).set_quota(GUILD, Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=QUOTA)))

    def prepare(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "0")
        self.path.mkdir()
        (self.path / "atelier.db").write_bytes(self.template)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def open(self) -> None:
        self.database = self.run(Database.open(f"sqlite:///{self.path}/atelier.db", self.path))
        self.jobs = JobStore(self.database, clock=lambda: NOW)

    def used(self, *users: int) -> Usage:
        usages = [image.usage for image in self.model.values() if image.job.owner.user_id in users]
        return Usage(
            num_images=sum(usage.num_images for usage in usages),
            reserved=sum(usage.reserved for usage in usages),
            used=sum(usage.used for usage in usages),
        )

    @rule(target=images, sizes=st.lists(st.tuples(st.sampled_from(USERS), st.integers(1, 3)), min_size=1, max_size=4))
    def submit_together(self, sizes: list[tuple[int, int]]) -> list[str]:
        every = [a_job(user=user, count=count) for user, count in sizes]

        async def accept_all() -> list[BaseException | None]:
            return await asyncio.gather(*(self.jobs.accept(job, a_reply()) for job in every), return_exceptions=True)

        for job, answer in zip(every, self.run(accept_all()), strict=True):
            if self.used(*USERS).num_images + len(job.images) > QUOTA:
                assert isinstance(answer, QuotaExceededError)
                continue
            assert answer is None
            self.model |= {image.id: Expected(job, image.index) for image in job.images}
        return [image.id for job in every for image in job.images]

    @rule(ids=images, pick=st.integers(0, 99))
    def claim(self, ids: list[str], pick: int) -> None:
        image = self.model.get(ids[pick % len(ids)])
        attempt = self.run(self.jobs.claim(ids[pick % len(ids)]))
        if image is None or image.status is not Status.WAITING:
            assert attempt is None
            return
        image.status, image.attempt = Status.RUNNING, image.attempt + 1
        assert attempt == image.attempt

    @rule(ids=images, pick=st.integers(0, 99), age=st.integers(0, 1))
    def release(self, ids: list[str], pick: int, age: int) -> None:
        image = self.model.get(ids[pick % len(ids)])
        attempt = (image.attempt if image else 0) - age
        answer = self.run(self.jobs.release(ids[pick % len(ids)], attempt))
        assert answer is (image is not None and image.status is Status.RUNNING and age == 0)
        if answer:
            image.status = Status.WAITING

    @rule(
        ids=images,
        pick=st.integers(0, 99),
        age=st.integers(0, 1),
        end=st.sampled_from([Status.DONE, Status.WITHHELD, Status.FAILED, Status.CANCELLED]),
        part=st.integers(0, 500),
    )
    def settle_twice(self, ids: list[str], pick: int, age: int, end: Status, part: int) -> None:
        """Settle twice, as a late worker, a cancel, or both at once would."""
        image = self.model.get(ids[pick % len(ids)])
        attempt = (image.attempt if image else 0) - age
        outcome = self.outcome(image, end, part)

        async def both() -> list[bool]:
            one = self.jobs.settle(ids[pick % len(ids)], attempt, outcome)
            other = self.jobs.settle(ids[pick % len(ids)], attempt, outcome)
            return [*await asyncio.gather(one, other)]

        may_end = image is not None and not image.status.is_end and age == 0
        assert sorted(self.run(both())) == [False, may_end]
        if may_end:
            image.status, image.charged = end, outcome.charged

    def outcome(self, image: Expected | None, end: Status, part: int) -> Outcome:
        if image is not None and end is Status.DONE:
            return done(image.job, image.index)
        paid = part if end is Status.CANCELLED and image is not None and image.status is Status.RUNNING else 0
        return ended(Status.FAILED if end is Status.DONE else end, charged=paid)

    def crash(self) -> None:
        """Continue from a copy of the files at this moment, as after a crash."""
        after = self.path.with_name(str(int(self.path.name) + 1))
        shutil.copytree(self.path, after)
        self.run(self.database.close())
        self.path = after
        self.open()

    @rule()
    def crash_and_recover(self) -> None:
        self.crash()
        unfinished = self.run(self.jobs.fetch_unfinished())
        for image in self.model.values():
            if image.status is Status.RUNNING:
                image.status = Status.WAITING
        alive = {image.job.id for image in self.model.values() if not image.status.is_end}
        assert {job.id for job in unfinished} == alive

    @invariant()
    def everything_agrees(self) -> None:
        if hasattr(self, "database") and self.checks_every_step:
            self.the_books_agree()
            self.images_and_deliveries_are_as_the_model_says()

    def the_books_agree(self) -> None:
        quotas = QuotaStore(self.database)
        assert self.run(quotas.fetch_guild_usage(GUILD, since=NOW)) == self.used(*USERS)
        assert self.run(fetch_usage(self.database, Owner(GUILD, USERS[0]), since=NOW)) == self.used(USERS[0])
        assert self.run(reconcile(self.database)).is_exact

    def images_and_deliveries_are_as_the_model_says(self) -> None:
        def read(session: Session) -> tuple[dict[str, tuple[object, ...]], dict[str, str]]:
            images = session.execute(text("SELECT id, status, attempt, charged FROM images"))
            deliveries = session.execute(text("SELECT job_id, state FROM deliveries"))
            return {row[0]: tuple(row[1:]) for row in images}, {row[0]: row[1] for row in deliveries}

        images, deliveries = self.run(self.database.read(read))
        assert images == {image.id: (image.status, image.attempt, image.charged) for image in self.model.values()}
        alive = {image.job.id for image in self.model.values() if not image.status.is_end}
        assert deliveries == {
            image.job.id: DeliveryState.LIVE if image.job.id in alive else DeliveryState.DUE
            for image in self.model.values()
        }

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.run(self.database.close())
            self.runner.close()
            self.folder.cleanup()


class Memory:
    """As much of a `Database` as stores need, on SQLite in memory: no thread, no disk, so thousands of histories.

    The transactions are the same.
    """

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self._engine = create_engine("sqlite://", poolclass=StaticPool, creator=lambda: self.connection)
        listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))

    async def write(self, work: Any, *, then: Any = lambda: None) -> Any:
        [result] = _run_each(self, [work])
        then()
        if isinstance(result, Exception):
            raise result
        return result

    def connect(self) -> Connection:
        return self._engine.connect()

    def guard(self) -> None: ...

    def hurried(self, connection: Connection) -> AbstractContextManager[None]:
        return nullcontext()

    def name_transaction(self, connection: Connection) -> None: ...

    def was_committed(self, name: str) -> bool:
        raise AssertionError("every commit is answered")

    async def read(self, work: Any) -> Any:
        return _read_once(self._engine, work)

    read_apart = read

    def close(self) -> None:
        self._engine.dispose()
        self.connection.close()


class QuickLifecycle(Lifecycle):
    """The same in memory, checked at the end; a crash leaves what was committed."""

    checks_every_step = False
    runner: asyncio.Runner
    memory: Memory

    def prepare(self) -> None:
        self.memory.connection.deserialize(self.template)

    def open(self) -> None:
        self.database = self.memory
        self.jobs = JobStore(self.database, clock=lambda: NOW)

    def crash(self) -> None:
        self.open()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.the_books_agree()
            self.images_and_deliveries_are_as_the_model_says()


SETTINGS = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


HISTORIES = int(os.environ.get("TEST_HISTORIES", "200"))
"""The number of histories in memory. After a change of the ledger, run 10,000: CONTRIBUTING.md."""


def test_the_ledger_always_adds_up(migrated: bytes) -> None:
    Lifecycle.template = migrated
    run_state_machine_as_test(Lifecycle, settings=settings(SETTINGS, max_examples=8, stateful_step_count=20))


@pytest.mark.parametrize("histories", [HISTORIES, pytest.param(25 * HISTORIES, marks=pytest.mark.long)])
def test_the_ledger_adds_up_after_hundreds_of_histories(migrated: bytes, histories: int) -> None:
    QuickLifecycle.template, QuickLifecycle.memory = migrated, Memory()
    with asyncio.Runner() as QuickLifecycle.runner:
        chosen = settings(SETTINGS, max_examples=histories, stateful_step_count=6)
        run_state_machine_as_test(QuickLifecycle, settings=chosen)
    QuickLifecycle.memory.close()
