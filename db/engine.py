"""The open database: one connection that writes, a few that read, and the lock that keeps other bots out.

SQLAlchemy's defaults with SQLite lose updates without an error: the driver opens its transactions late, so two read
what one then overwrites. Here the driver opens none (`isolation_level=None`) and we say `BEGIN IMMEDIATE`
before the first read of a writing transaction. Readers say plain `BEGIN` and, with WAL, never wait for the writer.
The event loop waits for none of it: a batch of writes is one visit to a thread, for a driver that crosses over at every
statement costs more than the statements; reads are of one or two statements and go through aiosqlite, and those that
look at thousands of rows have threads of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from db.access import require_database_file
from db.backup import clear_data_folder
from db.file_permissions import make_private
from db.file_watch import FileWatch
from db.group_commit import DatabaseClosedError, GroupCommit, T, Work
from db.integrity import explain
from db.lock import lock_all
from db.migrate import migrate, require_not_half_restored
from db.running_time import RunningTime
from generation.clock import Clock
from generation.errors import ConfigurationError

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process (a backup tool, a shell) before it is refused."""
_NUM_READERS = 4
_NUM_THREADS = 2


class Database:
    """Everything a store needs. `await Database.open(...)`, then `close`; or `async with await Database.open(...)`."""

    def __init__(self, url: URL, lock: ExitStack, *, busy_timeout_s: float) -> None:
        self.url = url
        self._lock = lock
        driver = {"timeout": busy_timeout_s, "isolation_level": None}
        self._writing = create_engine(url, pool_size=1, max_overflow=0, connect_args=driver, hide_parameters=True)
        _say_at_start(self._writing, "BEGIN IMMEDIATE", _WRITING)
        beside = url.set(drivername="sqlite+aiosqlite")
        self._reading = create_async_engine(
            beside, pool_size=_NUM_READERS, max_overflow=0, connect_args=driver, hide_parameters=True
        )
        _say_at_start(self._reading.sync_engine, "BEGIN", _READING)
        self.running = RunningTime()
        self.files = FileWatch(Path(str(url.database)))
        self._apart = create_engine(
            url, pool_size=_NUM_THREADS, max_overflow=0, connect_args=driver, hide_parameters=True
        )
        _say_at_start(self._apart, "BEGIN", _READING)
        self._threads = ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="database reader")
        self._writer = GroupCommit(self._writing, guard=self.files.check)
        self._reads: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @classmethod
    async def open(cls, url: str, data_dir: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """Lock `data_dir` and the database, create or upgrade the database at `url`, and open it.

        Raise `ConfigurationError`: one of them is in use, the URL cannot be used, or the database is newer than this
        code.
        """
        parsed = parse_url(url)
        file = Path(str(parsed.database))
        require_not_half_restored(file)
        await asyncio.to_thread(require_database_file, file)
        lock = await asyncio.to_thread(lock_all, data_dir, parsed)
        try:
            clear_data_folder(data_dir, file)
            await asyncio.to_thread(migrate, parsed)
            await asyncio.to_thread(make_private, data_dir, file)  # its log takes after it
        except BaseException:
            lock.close()
            raise
        database = cls(parsed, lock, busy_timeout_s=busy_timeout_s)
        try:
            await asyncio.to_thread(database._open_writer)
            database._writer.start()
            await database._open_readers()
        except DatabaseError as error:
            await database.close()
            raise explain(error.orig, file) from error
        return database

    def _open_writer(self) -> None:
        """Connect, which makes the files that `files` watches from now on."""
        with self._writing.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA schema_version")
        self.files.check()

    async def _open_readers(self) -> None:
        """All of them now: the first crowd need not wait for them, and how many files are open stays what it is."""
        async with AsyncExitStack() as opened:
            for _ in range(_NUM_READERS):
                connection = await opened.enter_async_context(self._reading.connect())
                await connection.exec_driver_sql("PRAGMA schema_version")  # until then SQLite opens nothing

    async def write(self, work: Work[T], *, then: Callable[[], None] = lambda: None) -> T:
        """Run `work(session)` in a writing transaction; when this returns, it is on disk. See `GroupCommit.write`."""
        return await self._writer.write(work, then=then)

    async def read(self, work: Work[T]) -> T:
        """Run `work(session)` on one consistent snapshot, beside any writer. Its connection refuses writes.

        `close` waits for the read, even where the caller no longer does: a connection returned to a closed pool would
        never be closed. Raise `DatabaseClosedError` after `close`.
        """
        return await self._tracked(self._read(work))

    async def read_apart(self, work: Work[T]) -> T:
        """Run `work(session)` as `read` does, but in a thread: for what looks at thousands of rows.

        `read` makes values of rows on the event loop, which does nothing else meanwhile. `work` returns values of its
        own, not rows, and takes rows a few at a time (`yield_per`) where there may be many.
        """
        return await self._tracked(self._read_apart(work))

    async def _tracked(self, reading: Coroutine[Any, Any, T]) -> T:
        if self._is_closed:
            reading.close()
            raise DatabaseClosedError
        task = asyncio.create_task(reading, name="database read")
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        return await asyncio.shield(task)

    async def _read(self, work: Work[T]) -> T:
        async with self._reading.connect() as connection:
            return await connection.run_sync(_with_session, work)

    async def _read_apart(self, work: Work[T]) -> T:
        def read() -> T:
            with self._apart.connect() as connection:
                return _with_session(connection, work)

        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def confirmed_now(self, clock: Clock) -> datetime:
        """Return the time to delete by: what the clock says, once a day of running has confirmed it
        (`db.running_time`)."""
        return await self.write(lambda session: self.running.confirm(session, at=clock()))

    async def truncate_log(self) -> None:
        """Move the write-ahead log into the database and empty it, so that deleted text is in neither file."""
        await asyncio.to_thread(self._truncate_log)

    def _truncate_log(self) -> None:
        with self._writing.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def close(self) -> None:
        """Finish the writes that wait and the reads under way, close every connection, release the lock.

        Safe to call twice.
        """
        self._is_closed = True
        await self._writer.close()
        await asyncio.gather(*self._reads, return_exceptions=True)
        self._threads.shutdown()
        self._apart.dispose()
        await self._reading.dispose()
        self._writing.dispose()
        self._lock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def parse_url(url: str) -> URL:
    """Return the address of a SQLite file by its one name: absolute, links followed. Raise `ConfigurationError`."""
    remedy = "Set ATELIER_DATABASE_URL to something like sqlite:///data/atelier.db."
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(problem="The database address cannot be read.", remedy=remedy) from None
    if parsed.get_backend_name() != "sqlite":
        problem = f"This version of Atelier keeps its data in SQLite, not in {parsed.get_backend_name()}."
        raise ConfigurationError(problem=problem, remedy=remedy)
    if options := set(parsed.query) - {"uri"}:
        problem = f"The database address has an option that Atelier chooses itself: {min(options)}."
        raise ConfigurationError(problem=problem, remedy="Leave out what follows the question mark.")
    file = _file_of(parsed.database or "")
    if file is None:
        raise ConfigurationError(problem="The database address names no file.", remedy=remedy)
    return URL.create("sqlite", database=str(file))


def _file_of(database: str) -> Path | None:
    """Return the file that SQLite means by a path, or by a `file:` address; None if it means none."""
    if database.startswith("file:"):
        parts = urlsplit(database)
        database = unquote(parts.path) if parts.netloc in ("", "localhost") and not parts.query else ""
    if database in ("", ":memory:"):
        return None
    try:
        return Path(database).resolve()
    except (OSError, ValueError, RuntimeError):  # links in a circle, a NUL
        return None


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


def _with_session(connection: Connection, work: Work[T]) -> T:
    with Session(connection, expire_on_commit=False) as session:
        return work(session)
