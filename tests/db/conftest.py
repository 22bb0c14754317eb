"""A real SQLite file for every test: one shared connection in memory would hide the very faults to be found."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.engine import Database, parse_url
from db.migrate import migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a new database, so that each test need not migrate its own."""
    path = tmp_path_factory.mktemp("template") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path.read_bytes()


@pytest.fixture
def url(tmp_path: Path, migrated: bytes) -> str:
    path = tmp_path / "atelier.db"
    path.write_bytes(migrated)
    return f"sqlite:///{path}"


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(url, tmp_path) as opened:
        yield opened
