"""The queries that must not grow with the database use its indexes on PostgreSQL too."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from sqlalchemy import Engine, event

from db.admin import erasure
from db.admin.personal import PersonalStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.stores.image_files import find_strays, release_uploads
from db.stores.jobs import JobStore
from tests.db.kinds import on_postgres
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_reply, done
from tests.db.stores.test_query_plans import OF_A_SERVER, Ask, _drop_uploads, _erase

pytestmark = on_postgres


async def _go_through_a_job(database: Database) -> None:
    store, job = JobStore(database), a_job(count=2)
    await store.accept(job, a_reply(), attached=["a" * 64])
    for image in job.images:
        await store.claim(image.id)
        await store.settle(image.id, 1, done(job))
    await store.fetch_job(job.id)
    await store.fetch_unfinished()


HOT: dict[str, Ask] = OF_A_SERVER | {
    "a job": _go_through_a_job,
    "an erasure": _erase,
    "jobs of a guild": lambda database: database.read(
        partial(erasure._jobs_of_guild, guild_id=GUILD, after=(NOW, "x"))
    ),
    "members of a guild": lambda database: database.read(partial(erasure._keys_in_guild, guild_id=GUILD, after=0)),
    "in no other guild": lambda database: database.read(partial(erasure._keys_in_no_other, guild_id=GUILD, keys=[1])),
    "count": lambda database: PersonalStore(database, clock=lambda: NOW).count(USER),
    "uploads": _drop_uploads,
    "expired": lambda database: RetentionStore(database).fetch_expired(["a" * 64], now=NOW),
    "strays": lambda database: database.read(lambda session: find_strays(session, ["a" * 64])),
    "an upload": lambda database: database.write(lambda session: release_uploads(session, ["a" * 64])),
}

_FORGET_SIZES = """
    UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_ONE_BY_ONE = [f"SET LOCAL enable_{way} = off" for way in ("seqscan", "hashjoin", "mergejoin")]
_SMALL = re.compile(r"ix_(images_alive|images_withheld|deliveries_due)\b")


async def explain(database: Database, ask: Ask, *before: str) -> list[tuple[str, str]]:
    """Return each statement and its plan for tables of some hundred rows. A scan of a whole one is chosen only if
    nothing else is there."""
    engines: list[Engine] = [database._writing, database._reading, database._apart]
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH", "DELETE", "UPDATE")) and not many:
            asked.append((statement, parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    await ask(database)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)

    with database._writing.connect() as connection:  # all of it is rolled back
        for statement in (*before, _FORGET_SIZES, *_ONE_BY_ONE):
            connection.exec_driver_sql(statement)
        run = connection.exec_driver_sql
        return [(each[0], "\n".join(row[0] for row in run(f"EXPLAIN {each[0]}", each[1]))) for each in asked]


def is_scan(plan: str) -> bool:
    """Return whether all of a table is looked through, also in the order of an index; partial indexes are small."""
    lines = [line.strip() for line in plan.splitlines()]
    through = (
        line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if "Index" in line and " using " in line and not below.startswith("Index Cond") and not _SMALL.search(line)
    )
    return "Seq Scan" in plan or any(through)


async def test_hot_queries_use_an_index(database: Database) -> None:
    plans = {name: await explain(database, ask) for name, ask in HOT.items()}
    assert all(plans.values())
    assert [(name, each) for name, every in plans.items() for each in every if is_scan(each[1])] == []


async def test_control_without_its_index_a_query_scans(database: Database) -> None:
    plans = await explain(database, HOT["changes"], "DROP INDEX ix_changes_guild_id_at")
    assert any(is_scan(plan) for _, plan in plans)
