"""A batch runs as one; where a part of it fails, the others are kept all the same, once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import group_commit
from db.engine import Database
from db.models import CounterRow
from db.stores.jobs import JobStore
from tests.db.kinds import on_both
from tests.db.some_jobs import a_job, a_reply

pytestmark = on_both
INSERT = text("INSERT INTO queue_counters VALUES (:guild_id, 1.0)")


class WrongError(Exception):
    """A rule refuses."""


def insert(guild_id: int) -> Callable[[Session], int]:
    def work(session: Session) -> int:
        session.execute(INSERT, {"guild_id": guild_id})
        return guild_id

    return work


def refuse(session: Session) -> None:
    session.execute(INSERT, {"guild_id": 99})
    raise WrongError


def break_rule(session: Session) -> None:
    session.execute(INSERT, {"guild_id": 98})
    session.execute(INSERT, {"guild_id": 98})


def add_object(session: Session) -> None:
    session.add(CounterRow(guild_id=97, counter=1.0))


def add_object_twice(session: Session) -> None:
    session.add(CounterRow(guild_id=1, counter=1.0))


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """Return what the writing connection is told from now on."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    def note_savepoint(_connection: Any, _name: Any) -> None:
        said.append("SAVEPOINT")

    event.listen(database.backend.writing, "before_cursor_execute", note)
    event.listen(database.backend.writing, "savepoint", note_savepoint)
    yield said


async def write_at_once(database: Database, *works: Callable[[Session], Any]) -> list[Any]:
    """Write all in one batch."""
    begun, goes_on = threading.Event(), threading.Event()
    first = asyncio.create_task(database.write(lambda session: begun.set() or goes_on.wait()))
    await asyncio.to_thread(begun.wait)
    writing = [asyncio.create_task(database.write(work)) for work in works]
    await asyncio.sleep(0)
    goes_on.set()
    await first
    return await asyncio.gather(*writing, return_exceptions=True)


@pytest.mark.parametrize(
    ("wrong", "error"), [(refuse, WrongError), (break_rule, IntegrityError), (add_object_twice, IntegrityError)]
)
async def test_what_fails_takes_nothing_else_with_it(
    database: Database, wrong: Callable[[Session], None], error: type[Exception]
) -> None:
    results = await write_at_once(database, insert(1), wrong, insert(3), add_object)
    assert isinstance(results.pop(1), error)
    assert results == [1, 3, None]
    assert await JobStore(database).fetch_counters() == {1: 1.0, 3: 1.0, 97: 1.0}
    with pytest.raises(error):
        await database.write(wrong)
    assert await JobStore(database).fetch_counters() == {1: 1.0, 3: 1.0, 97: 1.0}


async def test_no_savepoint_is_made_where_nothing_fails(database: Database, statements: list[str]) -> None:
    assert await write_at_once(database, insert(1), insert(2), add_object) == [1, 2, None]
    assert not [each for each in statements if "SAVEPOINT" in each]
    await write_at_once(database, insert(3), refuse)
    assert statements.count("SAVEPOINT") == 2


async def test_an_accepted_request_is_seven_statements(database: Database, statements: list[str]) -> None:
    """Each is a way to the server and back, or a wait for it."""
    await JobStore(database).accept(a_job(), a_reply())
    statements.clear()
    await JobStore(database).accept(a_job(), a_reply())
    of_the_transaction = ("BEGIN", "SELECT pg_current_xact")
    assert len([each for each in statements if not each.startswith(of_the_transaction)]) == 7, statements


@pytest.fixture
def commits(database: Database) -> Iterator[list[Any]]:
    """Return the transactions that are committed from now on."""
    made: list[Any] = []
    event.listen(database.backend.writing, "commit", made.append)
    yield made


async def test_writes_that_come_together_share_a_transaction(
    database: Database, commits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two at once, those that follow within `GATHER_S` are waited for, however soon a commit is done."""
    monkeypatch.setattr(group_commit, "GATHER_S", 2.0)  # a busy machine may take a while between two lines
    await write_at_once(database, insert(1), insert(2))
    commits.clear()
    writing = []
    for number in (3, 4, 5):
        writing.append(asyncio.create_task(database.write(insert(number))))
        await asyncio.sleep(0)
    assert await asyncio.gather(*writing) == [3, 4, 5]
    assert len(commits) == 1


async def test_what_is_written_alone_or_in_a_crowd_waits_for_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GATHER_S", 3600.0)
    async with asyncio.timeout(60):
        for number in range(3):
            await database.write(insert(number))
        await write_at_once(database, insert(10), insert(11))
        crowd = [database.write(insert(20 + number)) for number in range(group_commit.ENOUGH + 1)]
        assert len(await asyncio.gather(*crowd)) == group_commit.ENOUGH + 1
    monkeypatch.setattr(group_commit, "GATHER_S", 0.0)
    vars(database._writer)["_gathers_until_s"] = 0.0  # for closing, which would wait for the hour
