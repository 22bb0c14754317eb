"""The migrated schema (Alembic's) equals the schema of the models."""

import io
import sqlite3
from contextlib import closing, redirect_stdout
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, create_engine, inspect
from sqlalchemy.exc import StatementError

from alembic import command
from db.column_types import OnErase
from db.engine import Database, parse_url
from db.migrate import alembic_config, migrate
from db.models import Base
from db.stores.jobs import JobStore
from generation.errors import ConfigurationError
from tests.db.some_jobs import NOW, a_job


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "new folder" / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path


def schema(file: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def run_alembic(file: Path, action: str, revision: str) -> None:
    engine = create_engine(f"sqlite:///{file}")
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, action)(config, revision)
    engine.dispose()


def test_the_models_equal_the_migrated_schema(file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []
        assert {table for table in inspect(connection).get_table_names() if table != "alembic_version"} == set(
            Base.metadata.tables
        )
    engine.dispose()


def test_partial_indexes_and_foreign_keys_are_equal_too(file: Path) -> None:
    """Alembic compares neither the conditions of partial indexes nor what a foreign key does on delete."""
    written = {name: sql for kind, name, sql in schema(file) if kind == "index" and sql and " WHERE " in sql}
    partial = {
        str(index.name): str(index.dialect_options["sqlite"]["where"])
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert {name: sql.split(" WHERE ")[1] for name, sql in written.items()} == partial
    with closing(sqlite3.connect(file)) as connection:
        for table in Base.metadata.tables.values():
            keys = {row[3]: row[6] for row in connection.execute(f"PRAGMA foreign_key_list({table.name})")}
            assert keys == {key.parent.name: key.ondelete for key in table.foreign_keys}
        assert not any(isinstance(c, CheckConstraint) for t in Base.metadata.tables.values() for c in t.constraints)


def test_down_and_up_again_ends_where_it_began(file: Path) -> None:
    before = schema(file)
    run_alembic(file, "downgrade", "base")
    assert [name for _, name, _ in schema(file) if "alembic_version" not in name] == []
    run_alembic(file, "upgrade", "head")
    assert schema(file) == before


def test_a_second_migration_changes_nothing(file: Path) -> None:
    before = file.read_bytes()
    migrate(parse_url(f"sqlite:///{file}"))
    assert file.read_bytes() == before


def test_a_database_newer_than_the_code_is_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"newer version of Atelier.*Update Atelier"):
        migrate(parse_url(f"sqlite:///{file}"))
    assert file.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"), revision="0009")
    with closing(sqlite3.connect(path)) as connection:  # a name that an upgrade takes later
        connection.execute("CREATE TABLE uploads (x)")
    before = schema(path)
    with pytest.raises(ConfigurationError, match="already exists"):
        migrate(parse_url(f"sqlite:///{path}"))
    assert schema(path) == before


def test_the_same_migration_can_be_printed_for_postgresql() -> None:
    config = alembic_config()
    config.cmd_opts = type("Options", (), {"x": ["url=postgresql://"]})()
    printed = io.StringIO()
    config.output_buffer = printed
    with redirect_stdout(printed):
        command.upgrade(config, "head", sql=True)
    for table in Base.metadata.tables:
        assert f"CREATE TABLE {table} " in printed.getvalue()
    assert "TIMESTAMP WITH TIME ZONE" in printed.getvalue()


def test_every_column_declares_its_erasure() -> None:
    columns = [column for table in Base.metadata.tables.values() for column in table.columns]
    silent = [str(column) for column in columns if not isinstance(column.info.get("on_erase"), OnErase)]
    assert silent == []


@pytest.mark.parametrize("verb", ["UPDATE ledger SET used = 0", "DELETE FROM ledger"])
async def test_the_ledger_cannot_be_rewritten(database: Database, tmp_path: Path, verb: str) -> None:
    await JobStore(database).accept(a_job())
    with closing(sqlite3.connect(tmp_path / "atelier.db")) as other:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(verb)
        assert other.execute("SELECT count(*) FROM ledger").fetchone() == (1,)


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        await JobStore(database).accept(a_job(at=datetime(2026, 3, 1)))
    job = a_job(at=NOW.astimezone())
    await JobStore(database).accept(job)
    assert (await JobStore(database).fetch_job(job.id)).created_at.utcoffset() == NOW.utcoffset()


async def test_live_and_due_jobs_are_found_by_index(file: Path) -> None:
    plans = {
        "ix_images_alive": "SELECT job_id FROM images WHERE images.status IN ('waiting', 'running')",
        "ix_deliveries_due": "SELECT job_id FROM deliveries WHERE deliveries.state = 'due'",
    }
    with closing(sqlite3.connect(file)) as connection:
        for index, query in plans.items():
            steps = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert index in steps[0][3]
