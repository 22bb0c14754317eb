"""The migrations read without alembic equal those that alembic finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from db import revisions
from db.migrate import alembic_config
from generation.errors import ConfigurationError


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the migrations, in place of the real ones."""
    shutil.copytree(revisions.find_migrations(), tmp_path / "copy")
    monkeypatch.setattr(revisions, "_PLACES", (tmp_path / "copy",))
    revisions.read_revisions.cache_clear()
    yield tmp_path / "copy"
    revisions.read_revisions.cache_clear()


def test_they_are_those_of_alembic() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert revisions.read_revisions() == {each.revision: each.down_revision for each in scripts.walk_revisions()}
    assert revisions.newest_revision() == scripts.get_current_head()


def test_no_folder_of_migrations_is_an_error(migrations: Path) -> None:
    shutil.rmtree(migrations)
    with pytest.raises(ConfigurationError, match=r"is incomplete\. Its database migrations are missing\. Install it"):
        revisions.newest_revision()


def test_a_folder_without_migrations_is_an_error(migrations: Path) -> None:
    for path in migrations.glob("versions/*.py"):
        path.unlink()
    with pytest.raises(ConfigurationError, match=r"have 0 newest revisions, and must have one\. Install it again\."):
        revisions.newest_revision()


def test_two_newest_are_an_error(migrations: Path) -> None:
    (migrations / "versions" / "0002_other.py").write_text('revision = "other"\ndown_revision = "0001"\n')
    with pytest.raises(ConfigurationError, match="have 2 newest revisions"):
        revisions.newest_revision()
