"""What PostgreSQL is asked for that SQLite gives by being one file: one writer, one moment, nothing half done."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.address import parse_url
from db.admin.reconcile import reconcile
from db.engine import Database
from db.postgres import DatabaseTakenError
from db.readonly import find_holder
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from generation.errors import ConfigurationError, NotAcceptedError
from generation.policy.quota import Usage
from tests import postgres
from tests.db.interrupting_proxy import Interrupted, Proxy
from tests.db.kinds import on_postgres
from tests.db.some_jobs import GUILD, NOW, a_job, a_reply, a_spec
from tests.patience import PATIENCE_S, until

pytestmark = on_postgres
READ = "SELECT counter FROM queue_counters WHERE guild_id = 1"
WRITE = "UPDATE queue_counters SET counter = %s WHERE guild_id = 1"


def beside(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True)


async def assert_nothing_was_kept_and_the_next_is_accepted(database: Database) -> None:
    assert await QuotaStore(database).fetch_guild_usage(GUILD, since=NOW) == Usage()
    assert (await reconcile(database)).is_exact
    await JobStore(database).accept(a_job(), a_reply())
    assert len(await JobStore(database).fetch_unfinished()) == 1
    assert (await reconcile(database)).is_exact


async def test_a_second_bot_is_refused_from_another_folder(url: str, database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"process \d+ on .*, since .*ATELIER_DATABASE_URL"):
        await Database.open(url, tmp_path / "elsewhere")
    assert str(find_holder(parse_url(url))).startswith("process ")
    await database.close()
    assert find_holder(parse_url(url)) is None
    await (await Database.open(url, tmp_path / "elsewhere")).close()


async def test_the_lock_is_given_back_before_the_session_ends(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a session some time after it was closed: until then the next program would be refused."""
    holders: list[str | None] = []
    writing = database._writing
    end = writing.dispose
    monkeypatch.setattr(writing, "dispose", lambda: (holders.append(find_holder(parse_url(url))), end()))
    await database.close()
    assert holders == [None]


async def test_a_second_bot_is_refused_before_it_migrates(server: postgres.Server, tmp_path: Path) -> None:
    url = server.create()
    with beside(url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x4174656C696572,))
        with pytest.raises(ConfigurationError, match="Another Atelier is using"):
            await Database.open(url, tmp_path)
        assert other.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    server.drop(url)


async def test_a_bot_that_lost_its_connection_has_lost_the_lock_and_writes_no_more(url: str, tmp_path: Path) -> None:
    """The zombie of every lease: it finds out before it writes, not after."""
    async with await Database.open(url, tmp_path / "one") as first:
        await JobStore(first).save_counters({1: 1.0})
        postgres.end_sessions(url)
        async with await Database.open(url, tmp_path / "two") as second:
            for _ in range(2):
                with pytest.raises(NotAcceptedError):
                    await JobStore(first).accept(a_job())
            with pytest.raises(DatabaseTakenError):
                await JobStore(first).save_counters({1: 2.0})
            assert "has taken over" in str(first.problem)
            assert await JobStore(second).fetch_counters() == {1: 1.0}
            await JobStore(second).accept(a_job())
            assert second.problem is None
        await JobStore(first).accept(a_job())
        assert first.problem is None


async def test_who_has_nothing_to_write_keeps_the_lock_or_learns_that_it_is_lost(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engine.WATCH_EVERY_S", 0.01)
    async with asyncio.timeout(PATIENCE_S), await Database.open(url, tmp_path / "one") as first:
        watching = asyncio.create_task(first.until_taken())
        postgres.end_sessions(url)
        await until(lambda: find_holder(parse_url(url)))
        begun, goes_on = threading.Event(), threading.Event()
        frozen = asyncio.create_task(first.write(lambda session: begun.set() or goes_on.wait()))
        await asyncio.to_thread(begun.wait)
        postgres.end_sessions(url)
        async with await Database.open(url, tmp_path / "two"):
            goes_on.set()
            assert "Another Atelier is using the database" in str(await watching)
            with pytest.raises(DatabaseTakenError):
                await frozen


async def test_a_broken_connection_is_made_again_and_refuses_nothing(url: str, database: Database) -> None:
    for _ in range(2):
        postgres.end_sessions(url)
        job = a_job()
        await JobStore(database).accept(job)
        assert await JobStore(database).claim(job.images[0].id) == 1
    assert len(await JobStore(database).fetch_unfinished()) == 2
    assert (await reconcile(database)).is_exact


async def test_of_a_connection_that_breaks_in_the_middle_nothing_is_kept_twice(url: str, database: Database) -> None:
    tries = 0

    def work(session: Session) -> None:
        nonlocal tries
        session.execute(text("INSERT INTO queue_counters VALUES (:guild_id, 1.0)"), {"guild_id": 1})
        tries += 1
        if tries == 1:
            postgres.end_sessions(url)
        session.execute(text("SELECT 1"))

    await database.write(work)
    assert tries == 2
    assert await JobStore(database).fetch_counters() == {1: 1.0}


async def test_a_connection_that_breaks_each_time_refuses(url: str, database: Database) -> None:
    def work(session: Session) -> None:
        postgres.end_sessions(url)
        session.execute(text("SELECT 1"))

    with pytest.raises(OperationalError):
        await database.write(work)
    await assert_nothing_was_kept_and_the_next_is_accepted(database)


async def test_a_session_of_its_own_that_the_server_still_keeps_is_ended(url: str, tmp_path: Path) -> None:
    """Else the bot would wait 15 s for itself."""
    with opened_through(url) as (proxy, through):
        async with await Database.open(through, tmp_path) as database:
            for _ in range(2):
                proxy.strand()
                await JobStore(database).accept(a_job())
            assert len(postgres.say(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")) == 1
            assert (await reconcile(database)).is_exact


async def test_reads_do_not_notice_that_connections_broke(url: str, database: Database) -> None:
    await JobStore(database).save_counters({1: 1.0})
    postgres.end_sessions(url)
    for read in (database.read, database.read_apart):
        assert await read(lambda session: session.scalar(text(READ))) == 1.0


async def test_a_server_that_is_away_is_a_problem_until_it_is_back(
    server: postgres.Server, url: str, tmp_path: Path
) -> None:
    async with await Database.open(url, tmp_path) as database:
        job = a_job()
        await JobStore(database).accept(job)
        server.stop()
        for _ in range(2):
            with pytest.raises(NotAcceptedError):
                await JobStore(database).accept(a_job())
        assert "cannot be reached" in str(database.problem)
        server.start()
        await JobStore(database).accept(a_job())
        assert database.problem is None
        assert job.id in {each.id for each in await JobStore(database).fetch_unfinished()}
        assert (await reconcile(database)).is_exact


@contextmanager
def opened_through(url: str) -> Iterator[tuple[Proxy, str]]:
    with closing(Proxy(Path(str(make_url(url).query["host"])))) as proxy:
        yield proxy, str(make_url(url).set(query={"host": str(proxy.folder)}))


@pytest.mark.parametrize("where", Interrupted)
async def test_a_commit_without_an_answer_counts_if_the_server_made_it(
    url: str, tmp_path: Path, where: Interrupted
) -> None:
    """Refused, it would be painted after the next start; claimed, it would wait until then."""
    with opened_through(url) as (proxy, through):
        async with await Database.open(through, tmp_path) as database:
            store, job = JobStore(database), a_job()
            proxy.interrupt(where)
            if where is Interrupted.ANSWER:
                await store.accept(job, a_reply())
                proxy.interrupt(where)
                assert await store.claim(job.images[0].id) == 1
                assert len(await store.fetch_unfinished()) == 1
            else:
                with pytest.raises(NotAcceptedError):
                    await store.accept(job, a_reply())
                await assert_nothing_was_kept_and_the_next_is_accepted(database)
            assert proxy.num_interrupted > 0


async def test_readers_do_not_wait_for_a_writer_and_see_one_moment(url: str, database: Database) -> None:
    await JobStore(database).save_counters({1: 1.0})
    with beside(url) as other, other.transaction():
        other.execute(WRITE, (2.0,))
        assert await JobStore(database).fetch_counters() == {1: 1.0}
    assert await JobStore(database).fetch_counters() == {1: 2.0}

    def read_twice(session: Session) -> tuple[float, float]:
        before = session.scalar(text(READ))
        with beside(url) as other:
            other.execute(WRITE, (before + 1,))
        return before, session.scalar(text(READ))

    assert await database.read(read_twice) == (2.0, 2.0)
    assert await database.read_apart(read_twice) == (3.0, 3.0)


async def test_every_write_is_flushed_and_every_session_is_watched(database: Database) -> None:
    shown = {
        "synchronous_commit": "on",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "1min",
        "TimeZone": "UTC",
        "default_transaction_read_only": "off",
    }
    read = lambda session: {name: session.scalar(text(f"SHOW {name}")) for name in shown}  # noqa: E731
    assert await database.write(read) == shown
    assert (await database.read(read))["default_transaction_read_only"] == "on"
    options = database._writing.dialect.create_connect_args(database.url)[1]
    assert "password" not in options


async def test_a_table_locked_for_too_long_accepts_nothing(url: str, tmp_path: Path) -> None:
    async with await Database.open(url, tmp_path, busy_timeout_s=0.05) as database:
        with beside(url) as other, other.transaction():
            other.execute("LOCK TABLE balances")
            with pytest.raises(NotAcceptedError):
                await JobStore(database).accept(a_job())
        await assert_nothing_was_kept_and_the_next_is_accepted(database)


async def test_a_read_only_server_accepts_nothing_and_opens_no_bot(url: str, tmp_path: Path) -> None:
    """Such a server says so with an error of its own class (`InternalError`)."""
    name = make_url(url).database
    async with await Database.open(url, tmp_path) as database:
        with beside(url) as other:
            other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres.end_sessions(url)
        for _ in range(2):
            with pytest.raises(NotAcceptedError):
                await JobStore(database).accept(a_job())
    with pytest.raises(ConfigurationError, match="takes no writes"):
        await Database.open(url, tmp_path)
    with beside(url) as other:
        other.execute("SET default_transaction_read_only = off")
        other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    async with await Database.open(url, tmp_path) as database:
        await assert_nothing_was_kept_and_the_next_is_accepted(database)


@pytest.mark.parametrize("statement", ["UPDATE ledger SET used = 0", "DELETE FROM ledger", "TRUNCATE ledger"])
async def test_the_ledger_cannot_be_rewritten(url: str, database: Database, statement: str) -> None:
    await JobStore(database).accept(a_job())
    with beside(url) as other:
        with pytest.raises(psycopg.IntegrityError, match="append-only"):
            other.execute(statement)
        assert other.execute("SELECT count(*) FROM ledger").fetchone() == (1,)


async def test_the_ledger_numbers_more_lines_than_fit_32_bits(url: str, database: Database) -> None:
    with beside(url) as other:
        other.execute("SELECT setval(pg_get_serial_sequence('ledger', 'id'), 5000000000)")
        await JobStore(database).accept(a_job())
        assert other.execute("SELECT id FROM ledger").fetchone() == (5_000_000_001,)


@pytest.mark.parametrize("prompt", ["😀 'quoted' \\ %s {x} $1 :name", "x" * 1500])
async def test_what_is_asked_is_stored_as_it_is(database: Database, prompt: str) -> None:
    job = a_job(spec=a_spec(prompt=prompt))
    await JobStore(database).accept(job, a_reply())
    assert (await JobStore(database).fetch_job(job.id)).request.spec.prompt == prompt


async def test_a_server_or_database_that_is_not_there_is_one_sentence(server: postgres.Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The database missing on .* does not exist.*createdb"):
        await Database.open(server.url_of("missing"), tmp_path)
    with pytest.raises(ConfigurationError, match="Check ATELIER_DATABASE_URL, and that the server runs"):
        await Database.open(f"postgresql://atelier:hush@/atelier?host={tmp_path}", tmp_path)


async def test_a_database_of_another_program_is_refused(server: postgres.Server, tmp_path: Path) -> None:
    url = server.create()
    postgres.say(url, "CREATE TABLE theirs (x int)")
    with pytest.raises(ConfigurationError, match="of another program: it has the table theirs"):
        await Database.open(url, tmp_path)
    postgres.say(url, "DROP TABLE theirs", "CREATE TABLE alembic_version (version_num text)")
    postgres.say(url, "INSERT INTO alembic_version VALUES ('9999')")
    with pytest.raises(ConfigurationError, match="newer version of Atelier"):
        await Database.open(url, tmp_path)
    server.drop(url)


async def test_deleted_rows_leave_the_tables(url: str, database: Database) -> None:
    size = "SELECT pg_relation_size('queue_counters')"
    await JobStore(database).save_counters(dict.fromkeys(range(50), 1.0))
    await JobStore(database).save_counters({})
    assert postgres.say(url, size)[0][0] > 0
    await database.clear_deleted()
    assert postgres.say(url, size)[0][0] == 0
    await assert_nothing_was_kept_and_the_next_is_accepted(database)


def test_programs_that_only_root_may_reach_are_copied(tmp_path: Path) -> None:
    """As those of a wheel in the home of root; the server's user is another."""
    programs, folder = tmp_path / "home" / "install" / "bin", tmp_path / "server"
    programs.mkdir(parents=True)
    (programs / "initdb").write_text("program")
    (tmp_path / "home").chmod(0o700)
    assert postgres._within_reach(programs, folder, others=False) == programs
    assert (postgres._within_reach(programs, folder, others=True) / "initdb").read_text() == "program"
