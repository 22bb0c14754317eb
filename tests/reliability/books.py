"""The database of a bot as the judge reads it: by its address, beside the bot, on SQLite or PostgreSQL.

A trigger records every change of an image that had ended already: only a stale writer would make one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from db.address import file_of, is_server, parse_url
from db.migrate import migrate

_ENDED = "OLD.status NOT IN ('waiting', 'running')"
_CHANGED = "NEW.status <> OLD.status OR NEW.charged <> OLD.charged OR NEW.attempt <> OLD.attempt"
_NOTE = "INSERT INTO stale_writes VALUES (OLD.id);"
_TRIGGER = "CREATE TRIGGER note_stale_write AFTER UPDATE ON images"
_AUDIT_OF_FILE = (f"{_TRIGGER} WHEN {_ENDED} AND ({_CHANGED} OR NEW.recipe IS NOT OLD.recipe) BEGIN {_NOTE} END",)
_AUDIT_OF_SERVER = (
    f"CREATE FUNCTION note_stale_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_NOTE} RETURN NULL; END $$",
    f"{_TRIGGER} FOR EACH ROW WHEN ({_ENDED} AND ({_CHANGED} OR NEW.recipe IS DISTINCT FROM OLD.recipe))"
    " EXECUTE FUNCTION note_stale_write()",
)
_NUM_OPEN = (
    "SELECT (SELECT count(*) FROM images WHERE status IN ('waiting', 'running'))"
    " + (SELECT count(*) FROM deliveries WHERE state IN ('live', 'due'))"
)
_SETTLED_TWICE = "SELECT image_id FROM ledger WHERE kind <> 'reserve' GROUP BY image_id HAVING count(*) > 1"


class Books:
    """What a database says of jobs, images and postings. Takes no lock of Atelier's."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._url = parse_url(address)
        on_server = {"isolation_level": "AUTOCOMMIT", "pool_pre_ping": True}
        # A file is closed after each look: that it is open elsewhere would change what a dying bot leaves behind.
        how: dict[str, Any] = on_server if is_server(self._url) else {"poolclass": NullPool}
        self._engine = create_engine(_read_only(self._url), **how)

    def migrate(self) -> None:
        """Create the database, with the trigger that records stale writes."""
        migrate(self._url)
        self.audit()

    def audit(self) -> None:
        """Record stale writes from now on."""
        engine = create_engine(self._url, poolclass=NullPool)
        with engine.begin() as connection:
            audit = _AUDIT_OF_SERVER if is_server(self._url) else _AUDIT_OF_FILE
            for statement in ("CREATE TABLE stale_writes (image_id TEXT)", *audit):
                connection.exec_driver_sql(statement)

    def num_open(self) -> int:
        """Return the number of unfinished images and undelivered results."""
        return self._count(_NUM_OPEN)

    def num_claims(self) -> int:
        """Return how often a worker was handed an image so far."""
        return self._count("SELECT coalesce(sum(attempt), 0) FROM images")

    def num_stale_writes(self) -> int:
        return self._count("SELECT count(*) FROM stale_writes")

    def num_settled_twice(self) -> int:
        """Return how many images have more than one ending in the ledger."""
        return len(self._fetch(_SETTLED_TWICE))

    def images(self) -> dict[str, tuple[int, int]]:
        """Return how many images each job has, and how many of them are done."""
        rows = self._fetch(
            "SELECT job_id, count(*), sum(CASE status WHEN 'done' THEN 1 ELSE 0 END) FROM images GROUP BY job_id"
        )
        return {job_id: (number, done) for job_id, number, done in rows}

    def statuses(self) -> dict[str, int]:
        """Return how many images there are of each status."""
        return dict(self._fetch("SELECT status, count(*) FROM images GROUP BY status"))

    def deliveries(self) -> dict[str, str]:
        """Return the state of each job's result."""
        return dict(self._fetch("SELECT job_id, state FROM deliveries"))

    def size_bytes(self) -> int:
        """Return what the database takes on the disk."""
        file = file_of(self._url)
        if file is None:
            return self._count("SELECT pg_database_size(current_database())")
        return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))

    def close(self) -> None:
        self._engine.dispose()

    def _count(self, query: str) -> int:
        return int(self._fetch(query)[0][0])

    def _fetch(self, query: str) -> list[Any]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def _read_only(url: URL) -> URL:
    file = file_of(url)
    return (
        url if file is None else URL.create("sqlite", database=Path(file).as_uri(), query={"mode": "ro", "uri": "true"})
    )
