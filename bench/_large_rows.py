"""The rows of a large database, written by SQL from those of one job, in a SQLite file or on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url

USER, GUILD = 900_000_000_000_000_001, 700_000_000_000_000_001
OTHER_GUILD, NUM_OTHERS = GUILD + 1, 1000
_TABLES = ("jobs", "images", "image_files", "deliveries", "ledger")
_OF_JOB = {"jobs": "id", "images": "job_id", "deliveries": "job_id"}
_OF_IMAGE = "substr(image_id, 1, 22)"
_WHERE = f"CASE number % 10 WHEN 0 THEN {OTHER_GUILD} ELSE {GUILD} END"
_WHOSE = f"CASE number % 10 WHEN 1 THEN member_key ELSE 1 + number / 10 % {NUM_OTHERS} END"
_QUICK = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "temp_store = MEMORY")
_SAID = {
    "sqlite": {
        "id": "printf('{letter}%021d', number)",
        "at": "strftime('%Y-%m-%d %H:%M:%f000', 'now', (number - {num}) || ' minutes')",
        "window": "substr({at}, 1, 14) || printf('%02d', substr({at}, 15, 2) / 15 * 15) || ':00.000000'",
        "sha256": "printf('%02x%062x', number % 256, number)",
        "upload": "printf('{letter}%063x', number)",
    },
    "postgresql": {
        "id": "'{letter}' || lpad(CAST(number AS text), 21, '0')",
        "at": "now() + make_interval(mins => number - {num})",
        "window": "date_bin('15 minutes', {at}, TIMESTAMPTZ '2000-01-01 00:00:00+00')",
        "sha256": "lpad(to_hex(number % 256), 2, '0') || lpad(to_hex(number), 62, '0')",
        "upload": "'{letter}' || lpad(to_hex(number), 63, '0')",
    },
}
"""How each of them says the values of the row of a number."""
_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = '{table}'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{table}' AND NOT EXISTS "
    "(SELECT 1 FROM pg_constraint WHERE conname = indexname)",
}


def fill(url: str, jobs: Mapping[str, tuple[str, int]]) -> None:
    """Put so many copies in place of each job, one for each minute until now; ids begin with the key, a letter."""
    engine = create_engine(make_url(url).set(drivername=_driver(url)), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        is_file = connection.dialect.name == "sqlite"
        for pragma in _QUICK if is_file else ():
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        others = ", ".join(f"({number}, {USER + number})" for number in range(1, NUM_OTHERS + 1))
        connection.exec_driver_sql(f"INSERT INTO members (key, user_id) VALUES {others}")
        with _without_indexes(connection):
            for letter, (job_id, num) in jobs.items():
                _multiply(connection, letter, job_id, num)
        _sum_up(connection)
        connection.exec_driver_sql("PRAGMA journal_mode = WAL" if is_file else "ANALYZE")
    engine.dispose()


def _driver(url: str) -> str:
    return "postgresql+psycopg" if url.startswith("postgresql") else "sqlite"


def _multiply(connection: Connection, letter: str, job_id: str, num: int) -> None:
    said = dict[str, str]()
    for name, value in _SAID[connection.dialect.name].items():
        said[name] = value.format(letter=letter, num=num, at=said.get("at", ""))
    image_id, at = f"{said['id']} || '-0'", said["at"]
    place = {"guild_id": _WHERE, "member_key": _WHOSE}
    changes = {
        "jobs": {"id": said["id"], "created_at": at, **place},
        "images": {
            "id": image_id,
            "job_id": said["id"],
            "ended_at": f"CASE WHEN ended_at IS NOT NULL THEN {at} END",
        },
        "image_files": {"image_id": image_id, "sha256": said["sha256"]},
        "deliveries": {"job_id": said["id"], "state": "CASE state WHEN 'live' THEN 'live' ELSE 'posted' END"},
        "ledger": {"image_id": image_id, "at": at, "window": said["window"], **place},
    }
    numbers = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers "
    numbers += f"WHERE number < {num})"
    for table, new in changes.items():
        of_job = f"{_OF_JOB.get(table, _OF_IMAGE)} = '{job_id}'"
        _say(connection, f"CREATE TEMP TABLE one AS SELECT * FROM {table} WHERE {of_job}")
        every = connection.exec_driver_sql(f"SELECT * FROM {table} LIMIT 0").keys()
        names = [name for name in every if (table, name) != ("ledger", "id")]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(new.get(name, f'"{name}"') for name in names)
        _say(connection, f"INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM numbers CROSS JOIN one")
        _say(connection, "DROP TABLE one")
    for table in ("image_files", "images", "deliveries", "jobs"):
        _say(connection, f"DELETE FROM {table} WHERE {_OF_JOB.get(table, _OF_IMAGE)} = '{job_id}'")
    some = f"FROM numbers JOIN jobs ON jobs.id = {said['id']} WHERE number % 10 = 3"
    start = f"{image_id}, 'start', {said['upload']}"
    _say(connection, f"INSERT INTO image_files (image_id, role, sha256) {numbers} SELECT {start} {some}")
    _say(connection, f"INSERT INTO uploads (sha256, member_key) {numbers} SELECT {said['upload']}, member_key {some}")


def _say(connection: Connection, statement: str) -> None:
    """Run a statement. The driver of a server reads a lone per cent sign as the place of a value."""
    is_file = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(statement if is_file else statement.replace("%", "%%"))


@contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    """Write without the indexes of these tables, and make them after: sorting is quicker than a place for each row."""
    run, asked = connection.exec_driver_sql, _INDEXES[connection.dialect.name]
    indexes = [row for table in _TABLES for row in run(asked.replace("{table}", table)).all()]
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    yield
    for _, made in indexes:
        run(made)


def _sum_up(connection: Connection) -> None:
    """Set the balances to the sums of the ledger."""
    run, window = connection.exec_driver_sql, '"window"'
    sums = f"{window}, SUM(num_images), SUM(reserved), SUM(used) FROM ledger GROUP BY guild_id"
    run("DELETE FROM balances")
    columns = f"balances (guild_id, member_key, {window}, num_images, reserved, used)"
    run(f"INSERT INTO {columns} SELECT guild_id, member_key, {sums}, member_key, {window}")
    run(f"INSERT INTO {columns} SELECT guild_id, 0, {sums}, {window}")
