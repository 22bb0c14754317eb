"""The open database: one connection that writes, a few that read, and the lock that keeps other bots out.

SQLAlchemy's defaults with SQLite lose updates without an error: the driver opens its transactions late, so two read
what one then overwrites. Here the driver opens none (`isolation_level=None`) and we say `BEGIN IMMEDIATE`
before the first read of a writing transaction. Readers say plain `BEGIN` and, with WAL, never wait for the writer.
On a server the one writer is kept by a lock (`db.postgres`), and readers see one moment each too (`db.backends`).
The event loop waits for none of it: a batch of writes is one visit to a thread, and so is a read, for a driver that
crosses over at every statement costs more than the statements. Reads of thousands of rows have threads of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, select
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.orm import Session

from db.address import is_server
from db.address import parse_url as parse_url
from db.backends import NUM_READERS, NUM_THREADS, Backend, open_backend
from db.group_commit import DatabaseClosedError, GroupCommit, T, Work
from db.postgres import DatabaseTakenError, explain_taken
from db.running_time import RunningTime
from generation.clock import Clock
from generation.errors import ConfigurationError

log = logging.getLogger(__name__)
WATCH_EVERY_S = 1.0
BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process (a backup tool, a shell) before it is refused."""


class Database:
    """Everything a store needs. `await Database.open(...)`, then `close`; or `async with await Database.open(...)`."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.url = backend, backend.url
        self._writing, self._reading, self._apart = backend.writing, backend.reading, backend.apart
        self.running = RunningTime()
        self._readers = ThreadPoolExecutor(NUM_READERS, thread_name_prefix="database reader")
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="database reader apart")
        self._writer = GroupCommit(backend)
        self._reads: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        data_dir: Path,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        how: Callable[..., Backend] = open_backend,
    ) -> Self:
        """Lock `data_dir` and the database, create or upgrade the database at `url`, and open it.

        `how`: in place of it, `db.beside.open_beside`. Raise `ConfigurationError`: one of them is in use, the URL
        cannot be used, or the database is newer than this code.
        """
        database = cls(await asyncio.to_thread(how, parse_url(url), data_dir, busy_timeout_s=busy_timeout_s))
        try:
            await asyncio.to_thread(database._open_writer)
            database._writer.start()
            await asyncio.to_thread(database._open_readers)
        except DatabaseError as error:
            await database.close()
            raise database.backend.explain(error.orig) from error
        return database

    @property
    def problem(self) -> str | None:
        """Why nothing is saved now, as a sentence for the operator; None if all is well."""
        return self.backend.problem

    def _open_writer(self) -> None:
        """Connect, which makes the files that are watched from now on."""
        with self._writing.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(self.backend.first_statement)
        self.backend.guard()

    def _open_readers(self) -> None:
        """All of them now: the first crowd need not wait for them, and how many files are open stays what it is."""
        with ExitStack() as opened:
            for _ in range(NUM_READERS):
                opened.enter_context(self._reading.connect()).exec_driver_sql(self.backend.first_statement)

    async def write(self, work: Work[T], *, then: Callable[[], None] = lambda: None) -> T:
        """Run `work(session)` in a writing transaction; when this returns, it is on disk. See `GroupCommit.write`."""
        return await self._writer.write(work, then=then)

    async def read(self, work: Work[T]) -> T:
        """Run `work(session)` in a thread, on one consistent snapshot, beside any writer. It cannot write.

        `close` waits for the read, even where the caller no longer does: a connection returned to a closed pool would
        never be closed. Raise `DatabaseClosedError` after `close`.
        """
        return await self._run(self._readers, self._read, work)

    async def require_readable(self) -> None:
        """Raise unless the database can be read now."""
        await self.read(lambda session: session.connection().exec_driver_sql("SELECT 1").scalar())

    async def read_apart(self, work: Work[T]) -> T:
        """Run `work(session)` as `read` does: for what looks at thousands of rows, and must not keep others waiting.

        `work` returns values of its own, not rows, and takes rows a few at a time (`yield_per`) where there may be
        many.
        """
        return await self._run(self._threads, partial(_read_once, self._apart), work)

    async def _run(self, threads: ThreadPoolExecutor, read: Callable[[Work[T]], T], work: Work[T]) -> T:
        if self._is_closed:
            raise DatabaseClosedError
        reading = asyncio.get_running_loop().run_in_executor(threads, read, work)
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return await asyncio.shield(reading)

    def _read(self, work: Work[T]) -> T:
        """Read once more where the connection turns out to be broken: a server was restarted, and reading is safe."""
        try:
            return _read_once(self._reading, work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return _read_once(self._reading, work)

    async def confirmed_now(self, clock: Clock) -> datetime:
        """Return the time to delete by: what the clock says, once a day of running has confirmed it
        (`db.running_time`)."""
        return await self.write(lambda session: self.running.confirm(session, at=clock()))

    async def until_taken(self) -> ConfigurationError:
        """Return what to tell once another bot has taken over: nothing is saved here any more. On a file that is never.

        Also keeps the lock of a bot with nothing to write: where its connection broke, it takes the next one soon.
        """
        while is_server(self.url):
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.write(lambda session: session.execute(select(1)))
            except DatabaseTakenError as taken:
                return explain_taken(taken, self.url)
            except DatabaseError as error:  # the server is away: `problem` says so
                log.debug("action=database-watch-failed error=%s", error)
        never: asyncio.Future[ConfigurationError] = asyncio.get_running_loop().create_future()
        return await never

    async def clear_deleted(self) -> None:
        """See to it that deleted text is in no file of the database, as far as it can (`db.backends`)."""
        await asyncio.to_thread(self.backend.clear_deleted)

    async def close(self) -> None:
        """Finish the writes that wait and the reads under way, close every connection, release the lock.

        Safe to call twice.
        """
        self._is_closed = True
        await self._writer.close()
        await asyncio.gather(*self._reads, return_exceptions=True)
        for threads in (self._readers, self._threads):
            threads.shutdown()
        for engine in (self._reading, self._apart):
            engine.dispose()
        self.backend.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _read_once(engine: Engine, work: Work[T]) -> T:
    with engine.connect() as connection, Session(connection, expire_on_commit=False) as session:
        return work(session)
