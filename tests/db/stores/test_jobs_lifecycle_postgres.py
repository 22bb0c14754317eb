"""Random histories on PostgreSQL: in a crash the server ends every session of the bot at once."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test

from db.engine import Database
from db.stores.jobs import JobStore
from tests import postgres
from tests.db.some_jobs import NOW
from tests.db.stores.test_jobs_lifecycle import SETTINGS, Lifecycle


class OnPostgres(Lifecycle):
    server: postgres.Server
    copied: str
    url = ""
    checks_every_step = False

    def prepare(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.url = self.server.lend(self.copied)

    def open(self) -> None:
        self.database = self.run(Database.open(self.url, self.path))
        self.jobs = JobStore(self.database, clock=lambda: NOW)

    def crash(self) -> None:
        postgres.end_sessions(self.url)
        self.run(self.database.close())
        self.open()

    @rule()
    def lose_the_connections(self) -> None:
        """The bot goes on: the next write is done again on a new connection."""
        postgres.end_sessions(self.url)
        self.run(self.jobs.save_counters({}))

    def teardown(self) -> None:
        try:
            if hasattr(self, "database"):
                self.the_books_agree()
                self.images_and_deliveries_are_as_the_model_says()
        finally:
            super().teardown()
            self.server.give_back(self.url)


HISTORIES = int(os.environ.get("TEST_HISTORIES", "500")) // 10


def run(server: postgres.Server, template: str, *, histories: int) -> None:
    OnPostgres.server, OnPostgres.copied = server, template
    chosen = settings(SETTINGS, max_examples=histories, stateful_step_count=10)
    run_state_machine_as_test(OnPostgres, settings=chosen)


def test_the_ledger_always_adds_up(server: postgres.Server, template: str) -> None:
    run(server, template, histories=3)


@pytest.mark.long
def test_the_ledger_adds_up_after_many_histories(server: postgres.Server, template: str) -> None:
    run(server, template, histories=HISTORIES)
