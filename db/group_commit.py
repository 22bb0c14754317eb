"""Group commit: writes that arrive while one is being committed share the next transaction.

A durable commit waits for the disk (16 ms on the machine this was planned on); fifty submissions at once would wait
in a line of fifty commits. One task owns the writing connection instead. It takes everything that is waiting, runs it
in one transaction, commits once, and only then answers anyone. Where a piece of work fails, the batch runs again with
each piece in a savepoint. Work is a plain function of a `Session` that changes nothing else: it may run twice, and
nothing inside a transaction can wait for Discord or a GPU. A batch runs as a whole in a thread of its own: to cross
between threads at every statement cost more than the statements.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from db.counting import Count, take_counts
from generation import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A")
Work = Callable[[Session], T]
_Done = tuple[Any, Iterable[Count]]
"""What a piece of work returned or raised, and what counts it."""
MAX_BATCH = 64
GATHER_S, ENOUGH = 0.04, 16
"""Where writes come together, a batch begins so long after the last one unless so many wait: a transaction costs the
processor the same for one as for five. A write after one that was alone waits for nothing."""


class DatabaseClosedError(Exception):
    """Something was to be read or written after the database was closed: a mistake in the order of closing."""


class Storage(Protocol):
    """What is written to: see `db.backends`."""

    def guard(self) -> None: ...
    def connect(self) -> Connection: ...
    def hurried(self, connection: Connection) -> AbstractContextManager[object]: ...
    def name_transaction(self, connection: Connection) -> str | None: ...
    def was_committed(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class OneOfMany(Generic[A]):
    """A piece of work that is done for all that wait for it at once.

    `run(session, arguments)` returns what each gets. What it returns of an `Exception` is raised there; of that one
    nothing may be written.
    """

    run: Callable[[Session, Sequence[A]], Sequence[Any]]
    argument: A

    def __call__(self, session: Session) -> Any:
        [result] = self.run(session, [self.argument])
        if isinstance(result, Exception):
            raise result
        return result


class _Entry:
    """A piece of work, the future that its caller waits on, and what follows the commit."""

    def __init__(self, work: Work[Any], then: Callable[[], None]) -> None:
        self.work = work
        self.then = then
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answer(self, result: Any) -> None:
        try:
            self.then()
        except Exception:  # the writer must outlive any failure, and the write itself stands
            log.exception("action=after-write-failed")
        if self.future.done():  # the caller was cancelled; what is written stays written
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class GroupCommit:
    """The one writer of a database. `start`, then `write` from any task, then `close`.

    Its guard runs before each transaction and after it; where it raises, nothing counts as written.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database writer")
        self._waiting: asyncio.Queue[_Entry | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._gathers_until_s = 0.0
        """Until when more is waited for (the clock of the loop)."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="database writer")

    async def write(self, work: Work[T], *, then: Callable[[], None] = lambda: None) -> T:
        """Run `work` in a transaction and return what it returned once that is on disk.

        `then` is called after the attempt, whatever came of it and also if the caller was cancelled meanwhile: a copy
        in memory is dropped there and read again from what was committed.

        What `work` raises is raised here, and only its own writes are undone; it may run more than once. A caller
        cancelled before its turn writes nothing; one cancelled after that has written all the same.
        """
        if self._task is None:
            raise DatabaseClosedError
        entry = _Entry(work, then)
        self._waiting.put_nowait(entry)
        result: T = await entry.future
        return result

    async def close(self) -> None:
        """Finish what is waiting, then stop. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            self._waiting.put_nowait(None)
            await task
            self._thread.shutdown()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while (first := await self._waiting.get()) is not None:
            if (left_s := self._gathers_until_s - clock()) > 0 and self._waiting.qsize() < ENOUGH:
                await asyncio.sleep(left_s)
            batch, began_s = [first], clock()
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                entry = self._waiting.get_nowait()
                if entry is None:
                    self._waiting.put_nowait(None)  # the end, after this batch: nothing is added behind it
                    break
                batch.append(entry)
            self._gathers_until_s = began_s + GATHER_S if len(batch) > 1 else 0.0
            await self._commit([entry for entry in batch if not entry.future.done()])

    async def _commit(self, batch: Sequence[_Entry]) -> None:
        if not batch:
            return
        works = [entry.work for entry in batch]
        results: Sequence[Any]
        began_s = time.perf_counter()
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._run_guarded, works)
        except Exception as error:  # the writer must outlive any failure; each caller gets it
            results = [error] * len(batch)
            metrics.WRITE_FAILURES.inc()
        metrics.COMMIT_TIME.observe(time.perf_counter() - began_s)
        metrics.WRITES.inc(len(batch))
        for entry, result in zip(batch, results, strict=True):
            entry.answer(result)

    def _run_guarded(self, works: Sequence[Work[Any]]) -> list[Any]:
        self._storage.guard()
        results = _run_each(self._storage, works)
        self._storage.guard()
        return results


def _run_each(storage: Storage, works: Sequence[Work[Any]]) -> list[Any]:
    """Return what each work returned or raised, once it is committed and counted.

    Where the connection turns out to be broken before the commit is sent, nothing was kept: all is done once more, on a
    new one. The server was restarted, say, since the last batch.
    """
    try:
        return _run_once(storage, works)
    except _BrokenEarlyError:
        try:
            return _run_once(storage, works)
        except _BrokenEarlyError as again:
            raise again.error from None


class _BrokenEarlyError(Exception):
    """The connection broke, and nothing can have been kept."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__()
        self.error = error


def _run_once(storage: Storage, works: Sequence[Work[Any]]) -> list[Any]:
    with storage.connect() as connection:
        transaction, done, name = _run_in_transaction(storage, connection, works)
        try:
            transaction.commit()
        except DBAPIError as error:
            if name is None or not error.connection_invalidated:
                raise
            unanswered = error
        else:
            return _count(done)
    if not storage.was_committed(name):
        raise unanswered
    return _count(done)


def _count(done: Iterable[_Done]) -> list[Any]:
    """Count what was committed, as soon as it is. Return the results."""
    results = []
    for result, counts in done:
        results.append(result)
        for count in counts:
            count()
    return results


def _run_in_transaction(
    storage: Storage, connection: Connection, works: Sequence[Work[Any]]
) -> tuple[RootTransaction, list[_Done], str | None]:
    """Return a transaction in which all has run, what came of each work, and the transaction's name.

    As a rule nothing fails, so there are no savepoints at first, and no waiting for each statement: that is half of the
    processor time of an accepted request on a server.
    """
    for run, hurried in ((_run_together, storage.hurried), (_run_apart, nullcontext)):
        transaction = connection.begin()
        try:
            with hurried(connection):
                done = run(connection, works)
                name = storage.name_transaction(connection)
            return transaction, done, name
        except BaseException as error:
            connection.rollback()
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise _BrokenEarlyError(error) from error
            if run is _run_apart or not isinstance(error, Exception) or isinstance(error, OperationalError):
                raise
    raise AssertionError("the last way returns or raises")


def _run_together(connection: Connection, works: Sequence[Work[Any]]) -> list[_Done]:
    """Return what each work returned. Raise what the first one raised."""
    done: dict[int, _Done] = {}
    for places in _group(works):
        with Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False) as session:
            results = _run_group(session, [works[place] for place in places])
            session.flush()
            counts = [take_counts(session), *[()] * (len(places) - 1)]
            done |= zip(places, zip(results, counts, strict=True), strict=True)
    return [done[place] for place in range(len(works))]


def _group(works: Sequence[Work[Any]]) -> Iterable[Sequence[int]]:
    """Return where in the batch there are works that are done at once. They stand for different callers: any order will
    do."""
    groups: dict[object, list[int]] = {}
    for place, work in enumerate(works):
        groups.setdefault(work.run if isinstance(work, OneOfMany) else place, []).append(place)
    return groups.values()


def _run_group(session: Session, works: Sequence[Work[Any]]) -> Sequence[Any]:
    first = works[0]
    if isinstance(first, OneOfMany):
        return first.run(session, [each.argument for each in works if isinstance(each, OneOfMany)])
    return [first(session)]


def _run_apart(connection: Connection, works: Sequence[Work[Any]]) -> list[_Done]:
    return [_run_one(connection, work) for work in works]


def _run_one(connection: Connection, work: Work[Any]) -> _Done:
    """Return what `work` returned or raised, its writes kept or undone.

    An `OperationalError` (disk full, I/O) fails the whole batch: SQLite may have rolled everything back by itself, and
    going on would then write outside any transaction; a server may be gone.
    """
    session = Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
    try:
        with session, session.begin():
            result = work(session)
        return result, take_counts(session)
    except OperationalError:
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        return error, ()
