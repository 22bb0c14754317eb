"""A database of a PostgreSQL server: its connections, and the lock that one of them holds.

The lock is held by the very connection that writes (`pg_try_advisory_lock`): who loses the one loses the other. So no
moment exists in which two bots write. A bot whose connection broke takes the lock again with the next one, before its
next transaction, and is refused where another has it. With one writer READ COMMITTED is enough. It needs a session of
its own on the server, not a pooler that hands out sessions by transaction.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from db.address import describe
from db.file_watch import DatabaseLostError
from db.integrity import Ask, require_known
from db.lock import in_use
from generation.errors import ConfigurationError, NotNowError

log = logging.getLogger(__name__)
T = TypeVar("T")
LOCK = 0x4174656C696572
"""The key of the advisory lock: the bytes of "Atelier". Locks are by database, so every database has its own."""
_US = "atelier "
_PIPELINE = "pipeline"
NAME_KEPT = 55
"""So much of a name the server keeps, after ours."""
_CONNECT_S = 10
# A session whose machine vanished must not keep the lock for the two hours that TCP takes by default.
_SERVER_ALIVE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
_CLIENT_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
_FROZEN_MS = 60_000
"""A transaction that stands still for so long is that of a bot that is stopped or cut off."""
_IN_DOUBT_S, _ASK_AGAIN_S = 30.0, 0.2
_HOLDER = f"""
    SELECT pid, application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = {LOCK}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class DatabaseTakenError(DatabaseLostError):
    """Another Atelier holds the lock."""


def create_writing(url: URL, *, wait_s: float, is_owner: bool = True) -> Engine:
    """Return the engine of the connection that writes. An owner's has the lock; raise `DatabaseTakenError`."""
    own = f"-c synchronous_commit=on -c idle_in_transaction_session_timeout={_FROZEN_MS}"
    engine = _create(url, own, wait_s=wait_s, pool_size=1)
    if is_owner:
        event.listen(engine, "connect", _Locking())
    event.listen(engine, "do_execute", _execute)
    return engine


def create_reading(url: URL, *, wait_s: float, pool_size: int) -> Engine:
    """Return the engine of connections that see one moment each and cannot write."""
    return _create(url, _READING, wait_s=wait_s, pool_size=pool_size)


def create_patient(url: URL, *, wait_s: float, pool_size: int) -> Engine:
    """Return the same for what takes long: each connection is tried before it is used, for it is not done twice."""
    return _create(url, _READING, wait_s=wait_s, pool_size=pool_size, pool_pre_ping=True)


_READING = "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"


def _create(url: URL, own: str, *, wait_s: float, **pool: Any) -> Engine:
    return create_engine(url, **_arguments(url, own, wait_s=wait_s), **pool, max_overflow=0)


def _arguments(url: URL, own: str, *, wait_s: float) -> dict[str, Any]:
    """Return what every engine is made with. Raise `ConfigurationError` where the driver is not installed."""
    try:
        url.get_dialect().import_dbapi()
    except ImportError:
        raise ConfigurationError(
            problem="The driver for PostgreSQL is not installed.", remedy="Run: pip install 'atelier-bot[postgres]'."
        ) from None
    options = f"{_SERVER_ALIVE} -c timezone=UTC -c lock_timeout={max(1, round(1000 * wait_s))} {own}"
    chosen = {"connect_timeout": _CONNECT_S, "target_session_attrs": "primary", **_CLIENT_ALIVE}
    ours = {"options": options, "application_name": _name_of_this_process()}
    return {
        "connect_args": ours | {name: value for name, value in chosen.items() if name not in url.query},
        "hide_parameters": True,  # errors are logged, and what is stored is private
    }


def _name_of_this_process() -> str:
    """Return who this is, as `db.lock` says it."""
    return f"{_US}process {os.getpid()} on {socket.gethostname()}"[: NAME_KEPT + len(_US)]


class _Locking:
    """Takes the lock with each new connection.

    Where the line broke and the server has not noticed, our own last session still has it: that one is ended.
    """

    def __init__(self) -> None:
        self._last: Any = None

    def __call__(self, connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            is_ours = _try_lock(cursor)
            holder = cursor.execute(_HOLDER).fetchone()
            if not is_ours and holder is not None and holder == self._last:
                cursor.execute("SELECT pg_terminate_backend(%s, %s)", (holder[0], 1000 * _CONNECT_S))
                is_ours = _try_lock(cursor)
                holder = cursor.execute(_HOLDER).fetchone()
        connection.rollback()
        if not is_ours:
            connection.close()
            raise DatabaseTakenError(_tell(holder))
        self._last = holder


def _try_lock(cursor: Any) -> bool:
    """Return whether the lock is this session's now."""
    (is_ours,) = cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return bool(is_ours)


def unlock(writing: Engine) -> None:
    """Give the lock back, if a connection is open: a server notices only later that a session has been closed."""
    if isinstance(writing.pool, QueuePool) and writing.pool.checkedin():
        with suppress(DBAPIError, DatabaseTakenError), writing.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({LOCK})")


def _tell(row: Any) -> str:
    """Return who holds the lock, in the words of `db.lock`; empty where the server does not say."""
    if row is None:
        return ""
    _, name, since = row
    return f"{str(name).removeprefix(_US)}, since {since:%Y-%m-%d %H:%M} UTC"


def look(url: URL, work: Callable[[Connection], T]) -> T:
    """Return `work(connection)`, which takes no lock and changes nothing. Raise `ConfigurationError`."""
    engine = create_patient(url, wait_s=_CONNECT_S, pool_size=1)
    try:
        with engine.connect() as connection:
            return work(connection)
    except DBAPIError as error:
        raise explain(error.orig, url) from error
    finally:
        engine.dispose()


def require_usable(url: URL, ask: Ask) -> str | None:
    """Return the schema of the database, None of an empty one. Raise `ConfigurationError` unless this code can use
    it."""
    return require_known(
        describe(url), find_tables(ask), ask, remedy="Set ATELIER_DATABASE_URL to a database of Atelier's own."
    )


def find_tables(ask: Ask) -> set[str]:
    """Return the names of the tables of a database on a server."""
    return {str(row[0]) for row in ask("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}


def find_holder(connection: Connection) -> str | None:
    """Return who writes to this database, None if no Atelier does."""
    row = connection.exec_driver_sql(_HOLDER).fetchone()
    return None if row is None else _tell(row)


def reserve(writing: Engine, url: URL) -> None:
    """Connect, and so take the lock. Raise `ConfigurationError` where another has it, or the server takes no writes."""
    try:
        with writing.connect() as connection:
            is_read_only = connection.scalar(text("SELECT current_setting('transaction_read_only')::bool"))
    except DatabaseTakenError as taken:
        raise explain_taken(taken, url) from None
    except DBAPIError as error:
        raise explain(error.orig, url) from error
    if is_read_only:
        raise ConfigurationError(
            problem=f"{describe(url)} takes no writes: it is set to read-only.".capitalize(),
            remedy="Name the primary server in ATELIER_DATABASE_URL.",
        )


def explain_taken(taken: DatabaseTakenError, url: URL) -> ConfigurationError:
    return in_use(describe(url), str(taken), "ATELIER_DATABASE_URL to another database")


def explain(error: BaseException | None, url: URL) -> ConfigurationError:
    """Return what to tell, and what helps, of an error of the server's or of the way to it."""
    said = " ".join(str(error).split()).removeprefix("connection failed: ")[:300]
    problem = f"{describe(url)} cannot be used ({said.rstrip('.')})."
    kind = NotNowError if any(each in said for each in _PASSING) else ConfigurationError
    return kind(problem=problem[0].upper() + problem[1:], remedy=_remedy(said))


_PASSING = (
    "Connection refused",
    "timeout",
    "starting up",
    "shutting down",
    "recovery",
    "closed",
    "resolve",
    "unreachable",
)
"""Of what is said of a server that is down or coming up."""


def _remedy(said: str) -> str:
    if "unsupported startup parameter" in said:
        return "Connect to the server itself in ATELIER_DATABASE_URL, not to a pooler such as pgbouncer."
    if "does not exist" in said and "database" in said:
        return "Create it: createdb --encoding=UTF8 with the name that ATELIER_DATABASE_URL says."
    if "permission denied" in said:
        return "Let the role of ATELIER_DATABASE_URL own the database."
    return "Check ATELIER_DATABASE_URL, and that the server runs and lets this role in."


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Send statements without waiting for the answer of each; it is waited for where one is asked for what it found."""
    driver: Any = connection.connection.driver_connection
    noted = connection.info  # not to be asked for once the connection is broken
    with driver.pipeline() as pipeline:
        noted[_PIPELINE] = pipeline
        try:
            yield
        finally:
            del noted[_PIPELINE]


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Execute a statement, and wait for its answer unless it is an insert that answers nothing."""
    cursor.execute(statement, parameters)
    answers_nothing = context.isinsert and not context.compiled.effective_returning
    if cursor.connection.pgconn.pipeline_status and not answers_nothing:
        context.root_connection.info[_PIPELINE].sync()
    return True


def name_transaction(connection: Connection) -> str | None:
    """Return what the server calls this transaction, None if it has written nothing."""
    name: str | None = connection.scalar(text("SELECT pg_current_xact_id_if_assigned()::text"))
    return name


def was_committed(writing: Engine, name: str) -> bool:
    """Return what became of a transaction whose commit was sent and never answered.

    The server knows, also after a crash of its own; it is asked as soon as it is back. Where it stays away, the answer
    is False: nothing that was refused is promised.
    """
    return _ask_until(lambda: _ask_outcome(writing, name), time.monotonic() + _IN_DOUBT_S) == "committed"


def _ask_outcome(writing: Engine, name: str) -> str | None:
    """Return None while there is no saying."""
    try:
        with writing.connect() as connection:
            outcome = connection.scalar(text("SELECT pg_xact_status(CAST(:name AS xid8))"), {"name": name})
    except (DBAPIError, DatabaseTakenError):  # away, or the old session still has the lock
        return None
    return None if outcome == "in progress" else str(outcome)


def _ask_until(ask: Callable[[], str | None], deadline_s: float) -> str | None:
    while (outcome := ask()) is None and time.monotonic() < deadline_s:
        time.sleep(_ASK_AGAIN_S)
    log.warning("action=commit-in-doubt outcome=%s", outcome)
    return outcome
