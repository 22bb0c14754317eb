"""The judge of the crash tests sees the same on both databases, errors above all (`tests/reliability/books.py`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from db.address import parse_url
from db.engine import Database
from db.stores.jobs import JobStore
from tests import postgres
from tests.db.kinds import SERVER, on_both
from tests.db.some_jobs import a_job, a_reply, done
from tests.reliability.books import Books

pytestmark = on_both


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database that is thrown away: it is damaged here."""
    if database_kind == SERVER:
        server: postgres.Server = request.getfixturevalue("server")
        address = server.create(request.getfixturevalue("template"))
        yield address
        server.drop(address)
        return
    path = tmp_path / "atelier.db"
    path.write_bytes(request.getfixturevalue("migrated"))
    yield f"sqlite:///{path}"


@pytest.fixture
def books(url: str) -> Iterator[Books]:
    opened = Books(url)
    yield opened
    opened.close()


def damage(url: str, *statements: str) -> None:
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


async def finish_the_first(database: Database) -> str:
    """Accept a job of two images and finish the first. Return the job's id."""
    store, job = JobStore(database), a_job(count=2)
    await store.accept(job, a_reply())
    assert await store.claim(job.images[0].id) == 1
    await store.settle(job.images[0].id, 1, done(job))
    return job.id


async def test_what_is_open_done_and_claimed_is_counted(books: Books, database: Database) -> None:
    assert books.num_open() == books.num_claims() == 0
    job_id = await finish_the_first(database)
    assert books.num_open() == 2, "an image, and the result"
    assert books.num_claims() == 1
    assert books.images() == {job_id: (2, 1)}
    assert books.deliveries() == {job_id: "live"}
    assert books.size_bytes() > 0


async def test_a_late_write_is_seen(url: str, books: Books, database: Database) -> None:
    books.audit()
    await finish_the_first(database)
    changes = ("charged = charged + 1", "attempt = attempt + 1", "recipe = NULL", "status = 'waiting'")
    assert books.num_stale_writes() == 0
    for number, change in enumerate(changes, 1):
        damage(url, f"UPDATE images SET {change} WHERE status = 'done'")
        assert books.num_stale_writes() == number


async def test_a_second_ending_in_the_ledger_is_seen(url: str, books: Books, database: Database) -> None:
    await finish_the_first(database)
    assert books.num_settled_twice() == 0
    names = '"window", at, guild_id, member_key, image_id, kind, num_images, reserved, used'
    again = f"INSERT INTO ledger ({names}) SELECT {names} FROM ledger WHERE kind = 'settle'"
    damage(url, "DROP INDEX uq_ledger_end", again)
    assert books.num_settled_twice() == 1
