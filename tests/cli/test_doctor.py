"""`doctor` and `serve` use one list of checks, which changes nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli import doctor
from cli.doctor import CheckResult, Outcome, require_startable, run_checks
from config import Settings
from db.access import network_file_system, require_data_folder, require_database_file
from db.engine import Database, parse_url
from db.lock import lock_all
from db.migrate import migrate
from discord_sandbox import Sandbox
from generation.errors import ConfigurationError
from tests.cli.shell import NOWHERE, run

PAGE = 4096
STRANGER = 12345


def settings(data_dir: Path, **more: Any) -> Settings:
    return Settings(**{"data_dir": data_dir, "discord_url": "http://127.0.0.1:1", "health_port": 0} | more)


def found(given: Settings) -> dict[str, CheckResult]:
    """Return the findings of the checks before a start, by name. The graphics card takes seconds and is left out."""
    return {each.name: each for each in asyncio.run(run_checks(given, doctor.AT_START))}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    migrate(parse_url(f"sqlite:///{folder / 'atelier.db'}"))
    return folder


def everything(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return names, modes, times and bytes of all files."""
    files = [folder, *folder.rglob("*")] if folder.exists() else []
    return {
        str(path): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.stat().st_nlink,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in files
    }


def pages(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall())


def scribble(file: Path, page: int) -> None:
    with file.open("r+b") as opened:
        opened.seek((page - 1) * PAGE)
        opened.write(b"\xff" * PAGE)


def damage_the_header(file: Path) -> None:
    scribble(file, 1)


def damage_a_table(file: Path) -> None:
    scribble(file, pages(file)["jobs"])


def damage_an_index(file: Path) -> None:
    scribble(
        file, next(page for name, page in pages(file).items() if name.startswith(("ix_", "sqlite_autoindex_jobs")))
    )


def cut_it_short(file: Path) -> None:
    os.truncate(file, 3 * PAGE)


def let_a_newer_version_write(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
        connection.commit()


def put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


def put_another_programs_there(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE notes (words)")


def put_a_picture_there(file: Path) -> None:
    file.write_bytes(b"\x89PNG\r\n" * 2000)


def cut_a_restore_short(file: Path) -> None:
    file.rename(file.with_name("atelier.db.before-restore"))


def put_a_pipe_there(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


SPOILT: list[tuple[Callable[[Path], None], str]] = [
    (damage_the_header, "is damaged"),
    (damage_a_table, "is damaged"),
    (damage_an_index, "is damaged"),
    (cut_it_short, "is damaged"),
    (let_a_newer_version_write, "newer version"),
    (put_a_folder_there, "is a folder"),
    (put_another_programs_there, "another program"),
    (put_a_picture_there, "is damaged (file is not a database)"),
    (cut_a_restore_short, "a restore set aside"),
    (put_a_pipe_there, "no regular file"),
]


@pytest.mark.skipif(os.name == "nt", reason="some of these files exist on Unix only")
@pytest.mark.parametrize(("spoil", "says"), SPOILT, ids=[spoil.__name__ for spoil, _ in SPOILT])
def test_database_problems_are_reported_by_doctor_and_serve(
    spoil: Callable[[Path], None], says: str, data_dir: Path
) -> None:
    file = data_dir / "atelier.db"
    spoil(file)
    before = everything(data_dir)
    result = found(settings(data_dir))["Database"]
    assert (result.outcome, says in result.text) == (Outcome.FAILED, True), result.text
    assert "\n" not in result.text
    assert everything(data_dir) == before
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(Database.open(f"sqlite:///{file}", data_dir))
    assert str(refused.value) == result.text, "whatever else opens it says the same"


def test_serve_refuses_in_the_words_of_doctor(data_dir: Path) -> None:
    damage_a_table(data_dir / "atelier.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = run("serve", data_dir=data_dir, **NOWHERE | {"ATELIER_HEALTH_PORT": str(port)})
        results = found(settings(data_dir, discord_token="a.b.c", health_port=port))
    failed = [each for each in results.values() if each.outcome is Outcome.FAILED]
    assert [each.name for each in failed] == ["Database", "Health page"]
    assert served.returncode != 0 and served.stderr.startswith("atelier: ")
    assert all(f"{each.name}: {each.text}" in served.stderr for each in failed)


def left_by_a_crash(data_dir: Path) -> Path:
    """Return a folder as a killed bot leaves it: with a log that holds more than the database, and its index."""
    left = data_dir.with_name("left")

    async def copy() -> None:
        async with await Database.open(f"sqlite:///{data_dir / 'atelier.db'}", data_dir) as database:
            await database.write(
                lambda session: session.connection().exec_driver_sql(
                    "UPDATE alembic_version SET version_num = version_num"
                )
            )
            shutil.copytree(data_dir, left)

    asyncio.run(copy())
    assert (left / "atelier.db-wal").stat().st_size and (left / "atelier.db-shm").exists()
    return left


def closed(data_dir: Path) -> Path:
    asyncio.run(_open_and_close(data_dir))
    return data_dir


async def _open_and_close(data_dir: Path) -> None:
    async with await Database.open(f"sqlite:///{data_dir / 'atelier.db'}", data_dir):
        pass


def not_there(data_dir: Path) -> Path:
    return data_dir / "below" / "new"


@pytest.mark.parametrize("folder_of", [closed, left_by_a_crash, not_there], ids=lambda each: each.__name__)
def test_doctor_changes_nothing_and_the_bot_starts(folder_of: Callable[[Path], Path], data_dir: Path) -> None:
    folder = folder_of(data_dir)
    before = everything(data_dir.parent)
    results = asyncio.run(run_checks(settings(folder, discord_token="a.b.c")))
    assert [each for each in results if each.outcome is Outcome.FAILED] == []
    assert everything(data_dir.parent) == before
    folder.parent.mkdir(exist_ok=True)
    asyncio.run(_open_and_close(folder))


def test_an_older_database_is_not_upgraded_by_looking(tmp_path: Path) -> None:
    migrate(parse_url(f"sqlite:///{tmp_path / 'atelier.db'}"), revision="head-1")
    before = everything(tmp_path)
    result = found(settings(tmp_path))["Database"]
    assert result.outcome is Outcome.OK and "the next start upgrades its tables from " in result.text
    assert everything(tmp_path) == before


async def test_doctor_works_beside_a_running_bot(data_dir: Path) -> None:
    given = settings(data_dir)
    async with await Database.open(given.url_of_database, data_dir) as database:
        with socket.socket() as page:  # the bot's own /healthz
            page.bind(("127.0.0.1", 0))
            page.listen()
            given = settings(data_dir, health_port=page.getsockname()[1])
            looking = asyncio.create_task(run_checks(given, doctor.AT_START))
            assert await database.write(lambda session: 7) == 7
            results = {each.name: each for each in await looking}
        assert results["Database"].outcome is results["Health page"].outcome is Outcome.OK
        assert f"in use by a bot that runs (process {os.getpid()} on " in results["Database"].text
        assert await database.write(lambda session: 7) == 7
        elsewhere = settings(data_dir.parent / "other", database_url=given.url_of_database)
        other = {each.name: each for each in await run_checks(elsewhere, doctor.AT_START)}["Database"]
        assert other.outcome is Outcome.FAILED and "Another Atelier is using the database" in other.text


@contextmanager
def as_a_stranger() -> Iterator[Path]:
    """Return a folder that root or we own, seen by a user with the right to read but not to write."""
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(prefix="atelier-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def stranger() -> Iterator[None]:
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["atelier.db", "atelier.db-wal", "."])
def test_files_of_another_user_are_named_with_their_owner(name: str) -> None:
    with as_a_stranger() as folder:
        for file in ("atelier.db", "atelier.db-wal"):
            (folder / file).touch()
        for each in (folder, *folder.iterdir()):
            if each.name != name and (name != "." or each != folder):
                os.chown(each, STRANGER, STRANGER)
        with stranger(), pytest.raises(ConfigurationError, match=f"belongs to root, and {STRANGER}, .*sudo chown"):
            require_database_file(folder / "atelier.db")


@pytest.mark.parametrize("name", ["atelier.lock", "pictures", "pictures/ab", "measured.json", "."])
def test_files_in_the_data_folder_must_be_ours(name: str) -> None:
    with as_a_stranger() as folder:
        (folder / "pictures" / "ab").mkdir(parents=True)
        for file in ("atelier.lock", "measured.json"):
            (folder / file).touch()
        for each in (folder, *folder.rglob("*")):
            if each != folder / name:
                os.chown(each, STRANGER, STRANGER)
        with stranger(), pytest.raises(ConfigurationError, match="belongs to root"):
            require_data_folder(folder)


def test_a_folder_that_cannot_be_made_is_said() -> None:
    with as_a_stranger() as folder, stranger(), pytest.raises(ConfigurationError, match="belongs to root"):
        require_data_folder(folder / "below" / "data")


def test_root_is_warned_of_a_folder_of_another_user() -> None:
    with as_a_stranger() as folder:
        os.chown(folder, STRANGER, STRANGER)
        result = found(settings(folder))["Data folder"]
        assert (result.outcome, f"Run Atelier as {STRANGER}" in result.text) == (Outcome.WARNING, True)


def test_a_full_disk_ends_the_start_and_a_filling_one_is_said(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_ENOUGH_BYTES", 2**70)
    assert found(settings(data_dir))["Data folder"].outcome is Outcome.WARNING
    monkeypatch.setattr(doctor, "_LEAST_BYTES", 2**70)
    result = found(settings(data_dir))["Data folder"]
    assert (result.outcome, "The disk is full" in result.text) == (Outcome.FAILED, True)


def test_a_network_file_system_is_known_by_the_mount_that_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert network_file_system(tmp_path) is None
    lines = (
        "1 0 8:1 / / rw - ext4 /dev/vda rw",
        f"2 1 0:9 / {tmp_path}/far\\040away rw shared:1 - nfs4 host:/x rw",
        f"3 2 8:2 / {tmp_path}/far\\040away/disk rw - ext4 /dev/vdb rw",
    )
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: "\n".join(lines))
    there = tmp_path / "far away" / "data"
    assert network_file_system(there) == "nfs4"
    assert network_file_system(tmp_path / "far away" / "disk" / "x") is network_file_system(tmp_path / "far") is None


async def test_a_refused_token_is_reported_before_the_start(tmp_path: Path) -> None:
    async with Sandbox(bot_name="Atelier") as server:
        for token, outcome in ((server.token, Outcome.OK), ("a.b.c", Outcome.FAILED), (None, Outcome.FAILED)):
            given = settings(tmp_path, discord_token=token, discord_url=server.url)
            results = {each.name: each for each in await run_checks(given, doctor.AT_START)}
            assert results["Discord"].outcome is outcome, results["Discord"].text
    given = settings(tmp_path, discord_token=server.token, discord_url=server.url)
    concerns = await require_startable(given)
    assert [each.name for each in concerns] == ["Discord"], "it may come back"


async def test_the_link_for_accounts_is_printed_where_they_may_have_it(tmp_path: Path) -> None:
    async with Sandbox(bot_name="Atelier") as server:
        for allowed in (True, False):
            given = settings(tmp_path, discord_token=server.token, discord_url=server.url, allow_user_installs=allowed)
            results = {each.name: each for each in await run_checks(given, doctor.AT_START)}
            assert ("scope=applications.commands&integration_type=1" in results["Discord"].text) is allowed


@pytest.mark.parametrize(
    "pasted", ["a.b.c \n", "\ta.b.c", "'a.b.c'", '"a.b.c"', "Bot a.b.c", '" Bot a.b.c"\r\n', "“a.b.c”"]
)
def test_a_token_is_taken_as_people_paste_it(pasted: str, tmp_path: Path) -> None:
    token = settings(tmp_path, discord_token=pasted).discord_token
    assert token is not None and token.get_secret_value() == "a.b.c"


@pytest.mark.parametrize("pasted", ["a.b\nc", "a b.c", "a.b.ü", "a\u200b.b.c"])
def test_a_token_no_header_can_hold_is_refused_and_not_shown(pasted: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="signs that no token has") as refused:
        settings(tmp_path, discord_token=pasted)
    assert pasted not in str(refused.value)


def test_content_credentials_are_checked_before_the_start(tmp_path: Path) -> None:
    result = found(settings(tmp_path, c2pa_certificates="x"))["Content credentials"]
    assert (result.outcome, "belong together" in result.text) == (Outcome.FAILED, True)


def test_locks_are_not_taken_by_looking(data_dir: Path) -> None:
    given = settings(data_dir)
    found(given)
    with lock_all(data_dir, parse_url(given.url_of_database)):
        found(given)
