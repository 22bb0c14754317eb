"""Bring a database to the schema of this code: create it, upgrade it, or refuse one that is newer."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from alembic import command
from db.backup import kept_beside
from generation.errors import Misconfigured

SCRIPTS = Path(__file__).resolve().parent.parent / "alembic"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def newest_revision() -> str:
    """The schema of this code."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def migrate(url: URL, *, revision: str = "head") -> None:
    """Create the database at `url` if there is none, and upgrade it to `revision`, in one transaction.

    Blocks: call it in a thread. Raises `Misconfigured` if the database comes from a newer Atelier or cannot be opened,
    or if a restore was cut short.
    """
    if url.database:
        _require_not_half_restored(Path(url.database))
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # NullPool: the file is let go when we are done. Foreign keys stay off, for rebuilding a table drops the old one.
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": 30.0},
        hide_parameters=True,  # errors are logged, and what is stored is private
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            _upgrade(connection, revision)
    except DatabaseError as error:
        raise Misconfigured(
            problem=f"The database {url.database} cannot be opened or upgraded ({error.orig}).",
            remedy="Check that the file is Atelier's, that its folder is writable, and that the disk has space.",
        ) from error


def _require_not_half_restored(file: Path) -> None:
    """An empty database made here and now would pass for the one that is missing."""
    kept = kept_beside(file)
    if kept.exists() and not file.exists():
        raise Misconfigured(
            problem=f"There is no database at {file}, but one that a restore set aside: {kept}.",
            remedy="Run `bot.py restore FILE` again. Or, to have back what was there before, rename every "
            f"{kept.name}* to what it was called without “.before-restore”; or, to begin anew, move them elsewhere.",
        )


def _upgrade(connection: Connection, revision: str) -> None:
    config = alembic_config()
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head() and revision == "head":
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise Misconfigured(
            problem=f"The database was written by a newer version of Atelier (its schema is {current}).",
            remedy="Update Atelier, or restore the backup made before the update.",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise Misconfigured(
            problem=f"{len(broken)} rows of the database lost what they refer to.",
            remedy="Nothing was changed. Please report this, with the version you came from.",
        )
