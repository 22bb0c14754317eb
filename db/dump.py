"""Backups of a database on a server, by the server's own programs `pg_dump` and `pg_restore`.

They see one consistent moment while the bot goes on. A restore goes into an empty database, in one transaction: what is
there is never overwritten. Every function here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from db import postgres
from db.address import describe
from db.backup import part_of, put_in_place, told
from db.integrity import Ask
from db.lock import lock_all
from db.migrate import migrate_server
from generation.errors import ConfigurationError

WAIT_S = 30.0
_OURS = ("--no-owner", "--no-privileges")
"""A backup may go to a server with other roles."""


class ProgramUnfitError(ConfigurationError):
    """{problem} {remedy}"""


def backup(url: URL, target: Path) -> None:
    """Write a backup of the database to the new file `target`, which appears whole or not at all.

    Raise `ConfigurationError`: there is no `pg_dump`, it refuses, or `target` exists.
    """
    if target.exists():
        raise ConfigurationError(problem=f"{target} exists already.", remedy="Choose a new name for the backup.")
    write_copy(url, target)


def write_copy(url: URL, target: Path) -> None:
    """Write a checked backup, in the place of what is at `target`. Raise `ConfigurationError`."""
    with told(f"The backup {target} could not be written"), part_of(target) as part:
        _run("pg_dump", "--format=custom", *_OURS, f"--file={part}", url=url)
        check(part)
        put_in_place(part, target)


def check(path: Path) -> None:
    """Raise `ConfigurationError` unless `path` is a backup of Atelier's."""
    listed = _run("pg_restore", "--list", str(path)) if path.is_file() else ""
    if " TABLE DATA " not in listed or " ledger " not in listed:
        raise ConfigurationError(problem=f"{path} is no backup of Atelier's.", remedy="Use another backup.")


def restore(path: Path, url: URL, data_dir: Path) -> None:
    """Put the backup at `path` in an empty database. Takes the locks: no bot may be running."""
    check(path)
    with lock_all(data_dir, url):
        writing = postgres.create_writing(url, wait_s=WAIT_S)
        try:
            postgres.reserve(writing, url)
            require_empty(writing, url)
            _run("pg_restore", "--single-transaction", "--exit-on-error", *_OURS, str(path), url=url)
            migrate_server(writing, url)
        finally:
            writing.dispose()


def require_empty(writing: Engine, url: URL) -> None:
    """Raise `ConfigurationError` where the database has a table."""
    with writing.connect() as connection:
        ask: Ask = lambda statement: list(connection.exec_driver_sql(statement))  # noqa: E731
        if postgres.find_tables(ask):
            raise ConfigurationError(
                problem=f"{describe(url)} is not empty.".capitalize(),
                remedy="Create a new one with createdb, and name it in ATELIER_DATABASE_URL.",
            )


def _run(name: str, *options: str, url: URL | None = None) -> str:
    """Return what one of the server's programs prints. Raise `ConfigurationError` where it is missing or refuses."""
    program = shutil.which(name)
    if program is None:
        remedy = "Install PostgreSQL's client programs (postgresql-client), or use the backups of the server itself."
        raise ProgramUnfitError(problem=f"{name} is not installed.", remedy=remedy)
    words = [program, *options, *(() if url is None else (f"--dbname={_address(url)}",))]
    done = subprocess.run(words, env=os.environ | _password(url), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _refused(name, done.stderr.splitlines())
    return done.stdout


def _refused(name: str, lines: Sequence[str]) -> ConfigurationError:
    said = " ".join(line.partition("error: ")[2] or line for line in lines[:3]).strip()[:300]
    problem = f"{name} refuses ({said.rstrip('.')})."
    if "version mismatch" in said or "unsupported version" in said:
        return ProgramUnfitError(problem=problem, remedy="Use the programs of the server's own version.")
    remedy = "Check ATELIER_DATABASE_URL, free space, and that the file is whole."
    return ConfigurationError(problem=problem, remedy=remedy)


def _address(url: URL) -> str:
    """Return the address without its password: every user of the machine can read the words of a command."""
    return url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)


def _password(url: URL | None) -> dict[str, str]:
    return {"PGPASSWORD": url.password} if url is not None and url.password else {}
