"""The oracle of the crash tests: compares what Discord, which never died, was told with the database.

Discord's side is recorded from outside while it happens. In the database a trigger records every change of an image
that had ended already: only a stale writer would make one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from db.admin.reconcile import reconcile
from db.engine import Database, parse_url
from db.migrate import migrate
from discord_sandbox import Interaction, Message, Sandbox

AUDIT = """
CREATE TABLE stale_writes (image_id TEXT);
CREATE TRIGGER note_stale_write AFTER UPDATE ON images
WHEN OLD.status NOT IN ('waiting', 'running') AND (
    NEW.status <> OLD.status OR NEW.charged <> OLD.charged OR NEW.attempt <> OLD.attempt OR NEW.recipe IS NOT OLD.recipe
)
BEGIN INSERT INTO stale_writes VALUES (OLD.id); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All must be 0, but `jobs`."""

    jobs: int
    """Jobs that Discord was told of, or that are in the database."""
    lost: int
    """Told of, and not in the database as painted, or never shown with all their pictures."""
    duplicates: int
    """Messages beyond the first that show the same job's result."""
    drift: int
    """Differences between images, ledger and balances; and images with more than one ending in the ledger."""
    unfinished: int
    """Not ended, or not delivered, or with a message that still shows them as going."""
    stale_writes: int


class Witness:
    """Observes every message of a Discord from now on."""

    def __init__(self, discord: Sandbox) -> None:
        self._shown: defaultdict[str, dict[int, Message]] = defaultdict(dict)
        self._pictures: Counter[str] = Counter()
        self.removed: set[int] = set()
        """Ids of messages that people deleted: those need not stand, nor are they doubles."""
        discord.world.subscribe(lambda change: self._look(change.message))

    def knows(self, message: Message) -> bool:
        """Return whether the message names a job."""
        return _job_of(message) is not None

    def is_going(self, message: Message) -> bool:
        return any(":cancel:" in button.get("custom_id", "") for button in message.buttons)

    def told(self) -> set[str]:
        """Return every job that was ever named."""
        return set(self._shown)

    def asked(self, asked: Iterable[Interaction]) -> set[str]:
        """Return the jobs that the first answers to these show."""
        messages = (each.original_message for each in asked if not each.failed)
        return {job_id for message in messages if message and (job_id := _job_of(message))}

    def results(self, job_id: str) -> int:
        """Return how many messages show the job's result, or did until the bot deleted them."""
        standing = (each for each in self._shown.get(job_id, {}).values() if each.id not in self.removed)
        return sum(not self.is_going(message) for message in standing)

    def pictures(self, job_id: str) -> int:
        """Return the most pictures that a finished message of the job has shown."""
        return self._pictures[job_id]

    def still_going(self, job_id: str) -> bool:
        messages = self._shown.get(job_id, {}).values()
        return any(self.is_going(message) and not message.is_deleted for message in messages)

    def _look(self, message: Message | None) -> None:
        job_id = _job_of(message) if message is not None else None
        if message is None or job_id is None:
            return
        self._shown[job_id][message.id] = message
        if not self.is_going(message):
            self._pictures[job_id] = max(self._pictures[job_id], len(message.attachments))


def prepare(path: Path) -> None:
    """Create the database, and the trigger that records stale writes."""
    migrate(parse_url(f"sqlite:///{path}"))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(AUDIT)


def num_open(path: Path) -> int:
    """Return the number of unfinished images and undelivered results in the database."""
    query = (
        "SELECT (SELECT count(*) FROM images WHERE status IN ('waiting', 'running'))"
        " + (SELECT count(*) FROM deliveries WHERE state IN ('live', 'due'))"
    )
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        return int(connection.execute(query).fetchone()[0])


def num_claims(path: Path) -> int:
    """Return how often a worker was handed an image so far."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        return int(connection.execute("SELECT coalesce(sum(attempt), 0) FROM images").fetchone()[0])


async def judge(path: Path, witness: Witness) -> Judgement:
    """Return the verdict, when no process runs any more."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT job_id, count(*), sum(status = 'done') FROM images GROUP BY job_id")
        wanted = {job_id: (number, done) for job_id, number, done in rows}
        stale = connection.execute("SELECT count(*) FROM stale_writes").fetchone()[0]
        twice = "SELECT image_id FROM ledger WHERE kind <> 'reserve' GROUP BY image_id HAVING count(*) > 1"
        doubled = len(connection.execute(twice).fetchall())
        state = dict(connection.execute("SELECT job_id, state FROM deliveries"))
    async with await Database.open(f"sqlite:///{path}", path.parent) as database:
        books = await reconcile(database)
    every = witness.told() | wanted.keys()

    def is_lost(job_id: str) -> bool:
        number, done = wanted.get(job_id, (0, 0))
        return not number or done != number or witness.pictures(job_id) != number

    def is_open(job_id: str) -> bool:
        return state.get(job_id) != "posted" or witness.still_going(job_id)

    return Judgement(
        jobs=len(every),
        lost=sum(map(is_lost, every)),
        duplicates=sum(max(0, witness.results(job_id) - 1) for job_id in every),
        drift=len(books.postings) + len(books.balances) + doubled,
        unfinished=sum(map(is_open, every)),
        stale_writes=stale,
    )


def _job_of(message: Message) -> str | None:
    for button in message.buttons:
        parts = str(button.get("custom_id", "")).split(":")
        if len(parts) > 2 and parts[0] == "atelier":
            return parts[2]
    return None
