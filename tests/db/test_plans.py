"""How SQLite looks for what managers read of a server with very many pictures, as the stores ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from some_jobs import GUILD, NOW, USER
from sqlalchemy import event

from db.engine import Database
from db.governance import Governance
from db.moderation import ModerationStore

SINCE = NOW - timedelta(days=30)
Ask = Callable[[Database], Awaitable[object]]
OF_A_SERVER: dict[str, Ask] = {
    "judgements": lambda database: Governance(database).fetch_judgements(GUILD),
    "recent prompts": lambda database: Governance(database).fetch_recent_prompts(GUILD),
    "changes": lambda database: Governance(database).fetch_changes(GUILD),
    "most refused": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_most_refused(
        GUILD, since=SINCE
    ),
    "refusals": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_refusals(GUILD, USER, since=SINCE),
    "reports": lambda database: ModerationStore(database, clock=lambda: NOW).fetch_reports(GUILD),
}


async def plan(database: Database, ask: Ask) -> list[str]:
    asked: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        asked.append((statement, parameters))

    event.listen(database._reading.sync_engine, "before_cursor_execute", note)
    await ask(database)
    event.remove(database._reading.sync_engine, "before_cursor_execute", note)
    return await database.read(lambda session: [step for each in asked for step in _steps(session.connection(), each)])


def _steps(connection: Any, asked: tuple[str, Any]) -> list[str]:
    if not asked[0].startswith("SELECT"):
        return []
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])]


@pytest.mark.parametrize("name", OF_A_SERVER)
async def test_what_is_of_one_server_is_not_looked_for_among_all(database: Database, name: str) -> None:
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
