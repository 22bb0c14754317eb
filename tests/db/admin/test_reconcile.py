"""Reconciliation finds seeded differences in the ledger and repairs them by new postings only."""

import pytest
from sqlalchemy import text

from db.admin.reconcile import reconcile
from db.engine import Database
from db.stores.jobs import JobStore
from generation.owner import Owner
from generation.policy.quota import Usage
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, USER, a_job, done
from tests.stored import fetch_usage

pytestmark = on_both

BREAKAGES = {
    "balance wrong": "UPDATE balances SET used = used + 5",
    "balance missing": "DELETE FROM balances WHERE member_key != 0",
    "balance without a member": "INSERT INTO balances VALUES (1, 2, '2026-03-01 12:00:00.000000', 1, 1, 1)",
    "image charged without a posting": "UPDATE images SET charged = charged + 5 WHERE status = 'done'",
    "image ended without a posting": "UPDATE images SET status = 'cancelled' WHERE status = 'waiting'",
}


async def ledger(database: Database) -> list[tuple[object, ...]]:
    return await database.read(lambda s: [tuple(row) for row in s.execute(text("SELECT * FROM ledger ORDER BY id"))])


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_difference_is_repaired_by_new_postings_only(database: Database, breakage: str) -> None:
    job = a_job(count=2)
    await JobStore(database).accept(job)
    await JobStore(database).claim(job.images[0].id)
    await JobStore(database).settle(job.images[0].id, 1, done(job))
    assert (await reconcile(database)).is_exact

    await database.write(lambda session: session.execute(text(BREAKAGES[breakage])))
    before = await ledger(database)
    assert not (await reconcile(database)).is_exact
    assert not (await reconcile(database, repair=True)).is_exact
    assert (await reconcile(database)).is_exact
    assert (await ledger(database))[: len(before)] == before


async def test_after_a_repair_balances_equal_the_costs(database: Database) -> None:
    job = a_job()
    await JobStore(database).accept(job)
    await database.write(lambda session: session.execute(text(BREAKAGES["image ended without a posting"])))
    await reconcile(database, repair=True, clock=lambda: NOW)
    assert await fetch_usage(database, Owner(GUILD, USER), since=NOW) == Usage()
