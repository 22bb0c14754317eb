"""A database to copy, and a running API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.address import parse_url
from db.migrate import migrate
from tests.api.harness import Api, opened_api


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database to copy, so that not every test migrates its own."""
    path = tmp_path_factory.mktemp("blank") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def api(tmp_path: Path, blank_database: Path) -> AsyncIterator[Api]:
    async with opened_api(tmp_path, blank_database) as running:
        yield running
