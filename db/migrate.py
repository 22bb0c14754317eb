"""Bring a database to the schema of this code: create it, upgrade it, or refuse one that is newer."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from alembic import command
from db import postgres
from db.address import file_of
from db.backup import find_kept_beside, is_there
from db.integrity import Ask, explain, require_references, require_usable_now
from db.revisions import find_migrations, list_newer, newest_revision
from generation import progress
from generation.errors import ConfigurationError
from generation.program import format_command

_WAIT_S = 30.0


def alembic_config() -> Config:
    """Return alembic's configuration: only where the migrations lie."""
    config = Config()
    config.set_main_option("script_location", str(find_migrations()).replace("%", "%%"))
    return config


def migrate(url: URL, *, revision: str = "head") -> None:
    """Create the database at `url` if there is none, and upgrade it to `revision`, in one transaction.

    Blocks: call it in a thread. Raise `ConfigurationError` if the database cannot be used (`db.integrity`), or if a
    restore was cut short. On a server, the database itself is there and free.
    """
    file = file_of(url)
    if file is None:
        _migrate_free_server(url, revision)
        return
    require_not_half_restored(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # NullPool: the file is let go when we are done. Foreign keys stay off, for rebuilding a table drops the old one.
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": _WAIT_S},
        hide_parameters=True,  # errors are logged, and what is stored is private
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            _upgrade(connection, file, revision)
    except DatabaseError as error:
        raise explain(error.orig, file) from error


def require_not_half_restored(file: Path) -> None:
    """Raise `ConfigurationError` where a restore was cut short: a new empty database would pass for the missing one."""
    kept = find_kept_beside(file)
    if kept.exists() and not is_there(file):
        raise ConfigurationError(
            problem=f"There is no database at {file}, but one that a restore set aside: {kept}.",
            remedy=f"Run {format_command('restore FILE')} again. To have back what was there before, remove "
            f"“.before-restore” from the name of every {kept.name}*. To begin with an empty database, move them "
            "elsewhere.",
        )


def _migrate_free_server(url: URL, revision: str) -> None:
    writing = postgres.create_writing(url, wait_s=_WAIT_S)
    try:
        postgres.reserve(writing, url)
        migrate_server(writing, url, revision=revision)
    finally:
        writing.dispose()


def migrate_server(writing: Engine, url: URL, *, revision: str = "head") -> None:
    """Upgrade a database on a server over the connection that holds its lock, in one transaction."""
    try:
        with writing.begin() as connection:
            upgrade_server(connection, url, revision=revision)
    except DatabaseError as error:
        raise postgres.explain(error.orig, url) from error


def upgrade_server(connection: Connection, url: URL, *, revision: str = "head") -> None:
    """Upgrade a database on a server in the transaction of this connection."""
    current = postgres.require_usable(url, _asking(connection))
    if current != newest_revision() or revision != "head":
        _run(connection, current, revision)


def _upgrade(connection: Connection, file: Path, revision: str) -> None:
    ask = _asking(connection)
    current = require_usable_now(file, ask)
    if current == newest_revision() and revision == "head":
        return
    _run(connection, current, revision)
    require_references(ask)


def _asking(connection: Connection) -> Ask:
    return lambda statement: list(connection.exec_driver_sql(statement))


def _run(connection: Connection, current: str | None, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    with progress.task("Upgrading the database", len(list_newer(current))) as task:
        config.attributes["on_version_apply"] = lambda **_: task.move(task.done + 1)
        command.upgrade(config, revision)
