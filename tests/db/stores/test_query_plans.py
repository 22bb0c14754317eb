"""The query plans of managers' queries on a server with very many pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from db.admin.erasure import erase_user
from db.admin.retention import RetentionStore
from db.engine import Database
from db.stores.history import HistoryStore
from db.stores.image_files import release_uploads
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from generation.jobs.history import HistoryFilter
from generation.requests.edits import StartImage
from tests.db.guild_stores import open_stores
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_spec, all_of

SINCE = NOW - timedelta(days=30)
Ask = Callable[[Database], Awaitable[object]]
OF_A_SERVER: dict[str, Ask] = {
    "judgements": lambda database: open_stores(database).reviews.fetch_judgements(GUILD),
    "recent prompts": lambda database: open_stores(database).content_rules.fetch_recent_prompts(GUILD),
    "changes": lambda database: open_stores(database).audit_log.fetch_changes(GUILD),
    "most refused": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_most_refused(
        GUILD, since=SINCE
    ),
    "refusals": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_refusals(GUILD, USER, since=SINCE),
    "showcase": lambda database: HistoryStore(database).fetch_shared(GUILD, HistoryFilter(), limit=9),
    "reports": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_reports(GUILD),
}


async def plan(database: Database, ask: Ask, engine: Engine | None = None) -> list[str]:
    asked: list[tuple[str, Any]] = []
    engine = engine or database._reading

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    await ask(database)
    event.remove(engine, "before_cursor_execute", note)
    return await database.read(lambda session: [step for each in asked for step in _steps(session.connection(), each)])


def _steps(connection: Any, asked: tuple[str, Any]) -> list[str]:
    if not asked[0].startswith(("SELECT", "WITH", "DELETE")):
        return []
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])]


@pytest.mark.parametrize("name", OF_A_SERVER)
async def test_queries_of_one_server_use_its_index(database: Database, name: str) -> None:
    steps = await plan(database, OF_A_SERVER[name])
    assert any(step.startswith("SEARCH") for step in steps)
    assert [
        step for step in steps if step.startswith("SCAN") and step.split()[1].isidentifier() and "CONSTANT" not in step
    ] == []


@pytest.mark.parametrize("name", ["judgements", "recent prompts"])
async def test_the_last_jobs_of_a_server_are_read_in_the_order_of_an_index(database: Database, name: str) -> None:
    steps = await plan(database, OF_A_SERVER[name])
    [jobs] = [step for step in steps if step.startswith("SEARCH jobs")]
    assert "INDEX ix_jobs_guild_id_created_at (guild_id=?)" in jobs
    if name == "recent prompts":
        assert not any("TEMP B-TREE" in step for step in steps)


async def test_the_reports_of_a_job_are_found_by_it(database: Database) -> None:
    """Also by SQLite itself, which looks for them whenever a job is deleted."""
    query = "SELECT id FROM reports WHERE job_id = ?", ("x",)
    steps = await database.read(lambda session: _steps(session.connection(), query))
    assert steps == ["SEARCH reports USING COVERING INDEX ix_reports_job_id_by (job_id=?)"]


async def _drop_uploads(database: Database) -> None:
    await JobStore(database).accept(a_job(), attached=["a" * 64, "b" * 64])
    async for _ in RetentionStore(database).drop_uploads(now=NOW):
        pass


async def _erase(database: Database) -> None:
    """Delete some jobs, and take the pictures of others."""
    job = a_job(spec=a_spec(start=StartImage(sha256="a" * 64, strength=0.5)))
    await JobStore(database).accept(job, attached=["a" * 64])
    await JobStore(database).forget_pictures(job.id)
    await all_of(erase_user(database, USER))


async def test_other_uses_of_a_file_are_found_by_index(database: Database) -> None:
    releasing = await plan(
        database,
        lambda database: database.write(lambda session: release_uploads(session, ["a" * 64])),
        database._writing,
    )
    erasing = await plan(database, _erase, database._writing)
    dropping = await plan(database, _drop_uploads, database._apart)
    expiring = await plan(
        database, lambda database: RetentionStore(database).fetch_expired(["a" * 64], now=NOW), database._apart
    )
    for steps in (releasing, dropping, expiring, erasing):
        assert any("INDEX ix_image_files_sha256_role (sha256=? AND role=?)" in step for step in steps), steps
    every = (*releasing, *dropping, *expiring, *erasing)
    small = ("INDEX ix_deliveries_due", "INDEX ix_images_alive")
    assert [step for step in every if step.startswith("SCAN") and not step.endswith(small)] == []
    assert any(step.startswith("SEARCH uploads USING COVERING INDEX") and ">(?,?)" in step for step in dropping)


async def test_uploads_that_are_over_are_deleted_by_their_files(database: Database) -> None:
    steps = await plan(database, _drop_uploads, database._writing)
    assert [step for step in steps if step.startswith("SCAN uploads")] == []
    assert sum(step.startswith("SEARCH uploads USING") and "(sha256=?)" in step for step in steps) >= 1, steps


async def test_the_search_for_a_use_of_an_upload_stops_at_the_first(database: Database) -> None:
    """Releasing an upload costs the same for any number of pictures."""

    async def cost(number: int) -> int:
        for _ in range(number):
            await JobStore(database).accept(a_job(spec=a_spec(start=StartImage(sha256="a" * 64, strength=0.5))))
        return await database.write(
            lambda session: _instructions(session, lambda: release_uploads(session, ["a" * 64]))
        )

    await JobStore(database).accept(a_job(), attached=["a" * 64])
    first = await cost(1)
    assert await cost(200) == first > 0


def _instructions(session: Session, work: Callable[[], object]) -> int:
    """Return how many instructions SQLite runs for it."""
    number = 0

    def count() -> None:
        nonlocal number
        number += 1

    driver: Any = session.connection().connection.driver_connection
    driver.set_progress_handler(count, 1)
    work()
    driver.set_progress_handler(None, 1)
    return number
