"""The oracle of the crash tests: compares what Discord, which never died, was told with the database.

Discord's side is recorded from outside while it happens, the database is read by `books.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from db.admin.reconcile import reconcile
from db.engine import Database
from discord_sandbox import Interaction, Message, Sandbox
from tests.reliability.books import Books


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


async def judge(books: Books, data_dir: Path, witness: Witness) -> Judgement:
    """Return the verdict, when no process runs any more."""
    wanted, state = books.images(), books.deliveries()
    async with await Database.open(books.address, data_dir) as database:
        found = await reconcile(database)
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
        drift=len(found.postings) + len(found.balances) + books.num_settled_twice(),
        unfinished=sum(map(is_open, every)),
        stale_writes=books.num_stale_writes(),
    )


def _job_of(message: Message) -> str | None:
    for button in message.buttons:
        parts = str(button.get("custom_id", "")).split(":")
        if len(parts) > 2 and parts[0] == "atelier":
            return parts[2]
    return None
