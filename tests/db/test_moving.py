"""A SQLite database moves to a server whole, and a server's is backed up and restored."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import URL
from typer.testing import CliRunner

from cli.app import app
from db.address import parse_url
from db.admin.reconcile import reconcile
from db.dump import backup, check, restore
from db.engine import Database
from db.migrate import migrate
from db.moving import move
from db.readonly import read_schema
from db.revisions import newest_revision
from db.stores.jobs import JobStore
from generation.errors import ConfigurationError
from tests import postgres
from tests.db.some_jobs import a_job, a_reply, done
from tests.db.test_batches import talkative


@pytest.fixture
def empty(server: postgres.Server) -> URL:
    return parse_url(server.create())


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pg_dump` of the server's own version."""
    monkeypatch.setenv("PATH", str(postgres.require_programs()), prepend=":")


def read_all(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


async def fill(url: str, folder: Path) -> None:
    async with await Database.open(url, folder) as database:
        await talkative(database, 5)
        job = a_job(count=2)
        await JobStore(database).accept(job, a_reply(), attached=["a" * 64])
        await JobStore(database).claim(job.images[0].id)
        await JobStore(database).settle(job.images[0].id, 1, done(job))


def test_a_file_moves_to_a_server_and_goes_on_there(
    empty: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "atelier.db"
    asyncio.run(fill(f"sqlite:///{file}", tmp_path))
    with closing(sqlite3.connect(file)) as connection:  # what only SQLite keeps, and what no release can read
        connection.execute("UPDATE images SET recipe = 'damaged ' || char(0) WHERE recipe IS NOT NULL")
        connection.commit()
    before = file.read_bytes()
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ATELIER_DATABASE_URL", str(empty))
    said = CliRunner().invoke(app, ["database", "move"])
    assert said.exit_code == 0, said.output
    assert "are the same there" in said.output and "The books are exact" in said.output
    assert file.read_bytes() == before
    counted = {name: number for name, number in read_all(file).items() if not name.startswith("sqlite_")}
    assert {name: postgres.say(str(empty), f"SELECT count(*) FROM {name}")[0][0] for name in counted} == counted
    asyncio.run(go_on(str(empty), tmp_path))
    again = CliRunner().invoke(app, ["database", "move"])
    assert again.exit_code == 2 and "is not empty" in again.output


async def go_on(url: str, folder: Path) -> None:
    async with await Database.open(url, folder) as database:
        await JobStore(database).accept(a_job(), a_reply())
        assert (await reconcile(database)).is_exact


def test_what_cannot_be_read_moves_nothing(empty: URL, tmp_path: Path) -> None:
    file = tmp_path / "atelier.db"
    migrate(parse_url(f"sqlite:///{file}"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO queue_counters VALUES (1, 1.0)")
        connection.execute("INSERT INTO departures VALUES (1, 'not a time')")
        connection.commit()
    with pytest.raises(ConfigurationError, match="departures has a value that cannot be read"):
        move(file, empty, tmp_path)
    assert postgres.say(str(empty), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_only_a_file_moves_and_only_to_a_server(empty: URL, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no database at"):
        move(tmp_path / "missing.db", empty, tmp_path)
    with pytest.raises(ConfigurationError, match="is a file"):
        move(tmp_path / "missing.db", parse_url(f"sqlite:///{tmp_path}/other.db"), tmp_path)


@pytest.mark.usefixtures("programs")
async def test_a_backup_of_a_server_is_restored_to_an_empty_database(
    server: postgres.Server, template: str, empty: URL, tmp_path: Path
) -> None:
    url, target = server.lend(template), tmp_path / "backup"
    async with await Database.open(url, tmp_path) as database:
        job = a_job()
        await JobStore(database).accept(job, a_reply())
        backup(parse_url(url), target)
        with pytest.raises(ConfigurationError, match="exists already"):
            backup(parse_url(url), target)
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match="is not empty"):
        restore(target, parse_url(url), tmp_path)
    restore(target, empty, tmp_path)
    async with await Database.open(str(empty), tmp_path) as database:
        assert [each.id for each in await JobStore(database).fetch_unfinished()] == [job.id]
        assert (await reconcile(database)).is_exact
        await JobStore(database).accept(a_job())
    with pytest.raises(Exception, match="append-only"):
        postgres.say(str(empty), "DELETE FROM ledger")
    server.give_back(url)


@pytest.mark.usefixtures("programs")
def test_a_failed_backup_is_one_sentence(server: postgres.Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'pg_dump refuses .*"missing" does not exist'):
        backup(parse_url(server.url_of("missing")), tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text").write_text("no backup")
    with pytest.raises(ConfigurationError, match="pg_restore refuses"):
        check(tmp_path / "text")


def test_without_the_programs_a_backup_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"pg_dump is not installed.*postgresql-client"):
        backup(parse_url("postgresql://atelier@/atelier"), tmp_path / "backup")


@pytest.mark.parametrize("has_programs", [True, False])
async def test_an_upgrade_on_a_server_is_dumped_before_it_or_it_is_said(
    has_programs: bool,
    empty: URL,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if has_programs:
        request.getfixturevalue("programs")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    migrate(empty, revision="0018")
    assert read_schema(empty) == "0018", "to look upgrades nothing"
    async with await Database.open(empty.render_as_string(hide_password=False), tmp_path):
        pass
    assert read_schema(empty) == newest_revision()
    copy = tmp_path / f"{empty.database}.schema-0018"
    assert copy.exists() is has_programs
    if has_programs:
        check(copy)
    else:
        assert "action=upgrade-without-copy reason=pg_dump is not installed." in caplog.text
