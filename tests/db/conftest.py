"""A real database for every test, of each kind that it is for: memory would hide the very faults to be found.

Tests run on SQLite alone unless their file says `pytestmark = on_both` or they do (`tests/db/kinds.py`).
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from db.address import parse_url
from db.engine import Database
from db.migrate import migrate
from tests import postgres
from tests.db.kinds import SERVER, SQLITE


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("databases")
        metafunc.parametrize("database_kind", mark.args if mark else [SQLITE], scope="session")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a new database, so that each test need not migrate its own."""
    path = tmp_path_factory.mktemp("template") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path.read_bytes()


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    with postgres.serve() as started:
        yield started


@pytest.fixture(scope="session")
def template(server: postgres.Server) -> str:
    """Return the name of a migrated database to copy."""
    server.say("CREATE DATABASE migrated")
    migrate(parse_url(server.url_of("migrated")))
    return "migrated"


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if database_kind == SERVER:
        server: postgres.Server = request.getfixturevalue("server")
        address = server.lend(request.getfixturevalue("template"))
        yield address
        server.give_back(address)
        return
    path = tmp_path / "atelier.db"
    path.write_bytes(request.getfixturevalue("migrated"))
    yield f"sqlite:///{path}"


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(url, tmp_path) as opened:
        yield opened
