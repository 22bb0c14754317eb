"""What differs between the databases while one is open: a SQLite file, or a database of a PostgreSQL server."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from db import postgres
from db.access import require_database_file
from db.address import describe, is_server
from db.backup import clear_data_folder, find_kept_beside
from db.file_permissions import make_private
from db.file_watch import FileWatch
from db.integrity import explain
from db.lock import lock_all
from db.migrate import migrate, migrate_server, require_not_half_restored
from db.soundness import SoundnessCheck
from db.upgrade_copy import keep_copy, keep_server_copy
from generation.errors import ConfigurationError

log = logging.getLogger(__name__)
NUM_READERS, NUM_THREADS = 4, 2
_CLEARING_S, _CLEAR_AGAIN_S, _CLEARING_WAITS_MS = 60.0, 0.2, 20
"""How long it is tried to empty the log, how soon again, and how long the writer waits each time."""


class Backend(Protocol):
    """An open database: its engines, and the locks that keep other bots out. Made locked and up to date."""

    url: URL
    writing: Engine
    """Of the one connection that writes."""
    reading: Engine
    """Of connections that see one moment each and cannot write."""
    apart: Engine
    """The same for what takes long."""

    @property
    def first_statement(self) -> str:
        """What opens a connection for good."""

    scratch: Path
    """Where large files may lie for a while."""

    @property
    def set_aside(self) -> Path | None:
        """Where a restore keeps the database that was there before."""

    def guard(self) -> None:
        """Raise `DatabaseLostError` where what is written would be lost, or was."""

    def connect(self) -> Connection:
        """Return the connection that writes. Raise `DatabaseLostError` where another bot has taken over."""

    @property
    def problem(self) -> str | None:
        """What is wrong, as a sentence for the operator; None if all is well."""

    def hurried(self, connection: Connection) -> AbstractContextManager[object]:
        """Meanwhile statements need not wait for each other; what they raise may come later."""

    def name_transaction(self, connection: Connection) -> str | None:
        """Return what to ask `was_committed` about; None where a commit never is in doubt."""

    def was_committed(self, name: str) -> bool:
        """Return what became of a transaction whose commit was not answered."""

    def clear_deleted(self) -> None:
        """See to it that deleted text is in no file of the database, as far as it can."""

    def explain(self, error: BaseException | None) -> ConfigurationError: ...

    def release(self) -> None:
        """Close what writes, and give the locks back."""


def open_backend(url: URL, data_dir: Path, *, busy_timeout_s: float) -> Backend:
    """Lock `data_dir` and the database, create or upgrade it. Blocks. Raise `ConfigurationError`."""
    if is_server(url):
        return ServerBackend(url, data_dir, busy_timeout_s=busy_timeout_s)
    return FileBackend(url, data_dir, busy_timeout_s=busy_timeout_s)


class FileBackend:
    """A SQLite file."""

    first_statement = "PRAGMA schema_version"  # until then SQLite opens nothing

    def __init__(self, url: URL, data_dir: Path, *, busy_timeout_s: float) -> None:
        self.url, self._file = url, Path(str(url.database))
        self.scratch, self.set_aside = self._file.parent, find_kept_beside(self._file)
        require_not_half_restored(self._file)
        require_database_file(self._file)
        self._lock = lock_all(data_dir, url)
        try:
            clear_data_folder(data_dir, self._file)
            keep_copy(self._file)
            migrate(url)
            make_private(data_dir, self._file)  # its log takes after it
        except BaseException:
            self._lock.close()
            raise
        self._files, self._check = FileWatch(self._file), SoundnessCheck(self._file)
        self._make_engines(busy_timeout_s)
        self._check.start()

    def _make_engines(self, busy_timeout_s: float) -> None:
        self._busy_timeout_s = busy_timeout_s
        common: dict[str, Any] = {
            "max_overflow": 0,
            "connect_args": {"timeout": busy_timeout_s, "isolation_level": None},
            "hide_parameters": True,  # errors are logged, and what is stored is private
        }
        self.writing = create_engine(self.url, pool_size=1, **common)
        _say_at_start(self.writing, "BEGIN IMMEDIATE", _WRITING)
        self.reading = create_engine(self.url, pool_size=NUM_READERS, **common)
        self.apart = create_engine(self.url, pool_size=NUM_THREADS, **common)
        for engine in (self.reading, self.apart):
            _say_at_start(engine, "BEGIN", _READING)

    def guard(self) -> None:
        self._files.check()

    def connect(self) -> Connection:
        return self.writing.connect()

    @property
    def problem(self) -> str | None:
        return self._files.problem or self._check.problem

    def hurried(self, connection: Connection) -> AbstractContextManager[object]:
        return nullcontext()

    def name_transaction(self, connection: Connection) -> str | None:
        return None

    def was_committed(self, name: str) -> bool:
        return False

    def clear_deleted(self) -> None:
        """Move the write-ahead log into the database and empty it.

        Most of it beside the writer. The end waits for readers and keeps the writer waiting, so it is tried for a
        moment only, and again as long as a backup or an export reads what the log had before.
        """
        until_s = time.monotonic() + _CLEARING_S
        with closing(sqlite3.connect(self._file)) as beside:
            while not self._empty_log(beside):
                if time.monotonic() > until_s:
                    log.warning("action=log-not-emptied file=%s reason=it is being read", self._file)
                    return
                time.sleep(_CLEAR_AGAIN_S)

    def _empty_log(self, beside: sqlite3.Connection) -> bool:
        """Return whether the log is empty now."""
        beside.execute("PRAGMA wal_checkpoint(PASSIVE)")
        with self.writing.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA busy_timeout = {_CLEARING_WAITS_MS}")
            try:
                (is_busy, *_) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                driver.execute(f"PRAGMA busy_timeout = {round(1000 * self._busy_timeout_s)}")
        return not is_busy

    def explain(self, error: BaseException | None) -> ConfigurationError:
        return explain(error, self._file)

    def release(self) -> None:
        self._check.stop()
        self.writing.dispose()
        self._lock.close()


class ServerBackend:
    """A database of a PostgreSQL server. The data folder is locked too: pictures and forms lie there."""

    first_statement = "SELECT 1"
    set_aside = None

    def __init__(self, url: URL, data_dir: Path, *, busy_timeout_s: float) -> None:
        self.url, self.scratch = url, data_dir
        self._lock = lock_all(data_dir, url)
        self.writing = _or_close(self._lock.close, lambda: postgres.create_writing(url, wait_s=busy_timeout_s))
        try:
            postgres.reserve(self.writing, url)  # before anything is changed
            keep_server_copy(self.writing, url, data_dir)
            migrate_server(self.writing, url)
            clear_data_folder(data_dir, None)
            make_private(data_dir, None)
        except BaseException:
            self.release()
            raise
        self.reading = postgres.create_reading(url, wait_s=busy_timeout_s, pool_size=NUM_READERS)
        self.apart = postgres.create_patient(url, wait_s=busy_timeout_s, pool_size=NUM_THREADS)
        self._lost: str | None = None
        event.listen(self.writing, "connect", self._note_connected)

    def _note_connected(self, *_: object) -> None:
        self._lost = None

    def guard(self) -> None:
        """Nothing: the server answers for what it has committed."""

    def connect(self) -> Connection:
        """Take the lock again after a break: where another bot has it by now, nothing more is written here."""
        try:
            return self.writing.connect()
        except postgres.DatabaseTakenError as taken:
            self._lost = f"Another Atelier ({taken}) has taken over {describe(self.url)}: nothing is saved here."
            raise
        except DBAPIError:
            self._lost = f"Nothing is saved: {describe(self.url)} cannot be reached. Writes are tried again."
            raise

    @property
    def problem(self) -> str | None:
        return self._lost

    def hurried(self, connection: Connection) -> AbstractContextManager[object]:
        return postgres.pipelined(connection)

    def name_transaction(self, connection: Connection) -> str | None:
        return postgres.name_transaction(connection)

    def was_committed(self, name: str) -> bool:
        return postgres.was_committed(self.writing, name)

    def clear_deleted(self) -> None:
        """Let deleted rows leave the tables. What the server's log and its backups hold is their operator's.

        It takes long on a large database, so not on the connection that writes.
        """
        with self.apart.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.autocommit = True
            try:
                driver.execute("VACUUM")
            finally:
                driver.autocommit = False

    def explain(self, error: BaseException | None) -> ConfigurationError:
        return postgres.explain(error, self.url)

    def release(self) -> None:
        postgres.unlock(self.writing)
        self.writing.dispose()
        self._lock.close()


def _or_close(close: Callable[[], None], make: Callable[[], Engine]) -> Engine:
    try:
        return make()
    except BaseException:
        close()
        raise


# FULL: in WAL, NORMAL may lose the last commits when the power goes. secure_delete: erased text is overwritten.
_WRITING = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
_READING = ("query_only=ON",)


def _say_at_start(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
    """Let every connection begin with these pragmas, and every transaction with the statement `begin`."""

    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
