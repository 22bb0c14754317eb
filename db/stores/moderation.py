"""Who is blocked, what was reported, and who is refused how often. Blocks outlive the erasure of whom they name."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from async_lru import alru_cache
from sqlalchemy import Select, Text, delete, func, insert, or_, select, type_coerce
from sqlalchemy.orm import Session

from db.batches import JOBS_AT_ONCE, Place, delete_some, find_some_jobs
from db.engine import Database
from db.models import BlockRow, ImageRow, JobRow, MemberRow, RefusalRow, ReportRow, SecretRow, table
from db.stores.api_keys import end_keys_of
from db.stores.audit_log import Entry, record
from db.stores.image_files import forget_pictures
from db.stores.members import ensure_key, find_key
from db.stores.reviews import drop_reviews
from generation.clock import Clock
from generation.jobs.job import Job, Status
from generation.owner import Owner

_BLOCK_KEY = "blocks"
FOR_EVER = timedelta(days=365 * 100)
REFUSALS_KEPT = timedelta(days=30)
_JUDGEMENT = type_coerce(ImageRow.judgement, Text)
_IS_FLAGGED = or_(
    ~_JUDGEMENT.contains('"is_flagged":false', autoescape=True),
    _JUDGEMENT.contains(":null"),
    _JUDGEMENT.contains("NaN"),
)
"""As `db.column_types.write_json` writes it. What cannot be read counts as flagged, as in
`generation.safety.visibility`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report about a picture, until a moderator has looked at it."""

    id: int
    guild_id: int
    job_id: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """Of a member's last pictures: how many there were, and how many the safety checker flagged; and how many requests
    a content rule refused, beside those that were accepted.
    """

    num_images: int
    num_flagged: int
    num_refused: int = 0
    num_accepted: int = 0
    user_id: int = 0

    @property
    def rate(self) -> float:
        """What part of all that was asked for came to nothing, 0 to 1."""
        asked = self.num_images + self.num_refused
        return (self.num_flagged + self.num_refused) / asked if asked else 0.0


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Every block there is, and the key of the hashes in them; none before the first block."""

    key: str | None = field(repr=False)
    ends: Mapping[tuple[int, str], datetime]

    def until(self, guild_id: int, user_id: int) -> datetime | None:
        return None if self.key is None else self.ends.get((guild_id, _digest(self.key, user_id)))


class ModerationStore:
    """See the module's text. Users are named by their Discord id and kept as a keyed hash.

    Who is blocked is asked at every request, so it is kept in memory; only this store changes it.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._blocks = alru_cache(maxsize=1)(self._read_blocks)

    async def block(self, guild_id: int, user_id: int, entry: Entry, *, lasting: timedelta | None) -> datetime:
        """Block a user, for ever if `lasting` is None. Return until when."""
        at = entry.at or self._clock()
        until = at + (lasting or FOR_EVER)

        def write(session: Session) -> None:
            _block(session, guild_id, user_id, until=until)
            end_keys_of(session, Owner(guild_id, user_id), at=at)
            record(session, guild_id, entry, at=at)

        await self._database.write(write, then=self._blocks.cache_clear)
        return until

    async def unblock(self, guild_id: int, user_id: int, entry: Entry) -> bool:
        """Unblock a user. Return False, and record nothing, if they were not blocked."""

        def write(session: Session) -> bool:
            mine = (BlockRow.guild_id == guild_id, BlockRow.who == _hash(session, user_id))
            was_blocked = session.execute(delete(BlockRow).where(*mine).returning(BlockRow.who)).first() is not None
            if was_blocked:
                record(session, guild_id, entry, at=self._clock())
            return was_blocked

        return await self._database.write(write, then=self._blocks.cache_clear)

    async def fetch_blocked_until(self, guild_id: int, user_id: int, *, now: datetime | None = None) -> datetime | None:
        """Return until when a user is blocked, None if they are not now; `now` is Discord's time where it is known."""
        until = (await self._blocks()).until(guild_id, user_id)
        return until if until is not None and until > (now or self._clock()) else None

    async def _read_blocks(self) -> _Blocks:
        return await self._database.read(_fetch_blocks)

    async def report(self, guild_id: int, job_id: str, *, by: int, reason: str) -> bool:
        """Note a report. Return False if the same person has reported the same job already."""

        def write(session: Session) -> bool:
            key = ensure_key(session, by)
            same = select(ReportRow.id).where(ReportRow.job_id == job_id, ReportRow.by == key)
            if session.scalar(same) is not None:
                return False
            values = {"guild_id": guild_id, "job_id": job_id, "by": key, "at": self._clock(), "reason": reason}
            session.execute(insert(ReportRow).values(values))
            return True

        return await self._database.write(write)

    async def fetch_reports(self, guild_id: int, *, limit: int = 25) -> list[Report]:
        """Return the open reports, oldest first."""
        rows = select(ReportRow).where(ReportRow.guild_id == guild_id).order_by(ReportRow.id).limit(limit)
        found = await self._database.read(lambda session: session.scalars(rows).all())
        return [Report(id=r.id, guild_id=r.guild_id, job_id=r.job_id, at=r.at, reason=r.reason) for r in found]

    async def decide(
        self, guild_id: int, job: Job, entry: Entry, *, deletes: bool, blocked_for: timedelta | None = None
    ) -> list[str]:
        """Close what waits for moderators of a job; delete its pictures and block its owner where they say so.

        Return the SHA-256 of the files to remove.
        """

        def write(session: Session) -> list[str]:
            at = entry.at or self._clock()
            files = drop_reviews(session, [image.id for image in job.images])
            if deletes:
                files |= forget_pictures(session, job.id)
            session.execute(delete(ReportRow).where(ReportRow.guild_id == guild_id, ReportRow.job_id == job.id))
            if blocked_for is not None:
                _block(session, guild_id, job.owner.user_id, until=at + blocked_for)
            record(session, guild_id, entry, at=at)
            return sorted(files)

        return await self._database.write(write, then=self._blocks.cache_clear)

    async def purge(
        self, guild_id: int, user_id: int, *, by: int, said: Callable[[int], str], at: datetime | None = None
    ) -> AsyncIterator[tuple[int, list[str]]]:
        """Remove all finished pictures of a member in a guild, some jobs a transaction.

        Yield how many pictures each took, and the files nothing needs any more. The last one records what `said` makes
        of how many there were.
        """
        number, after, is_last = 0, None, False

        def write(session: Session) -> tuple[int, list[str], Place | None]:
            mine = (JobRow.guild_id == guild_id, JobRow.member_key == find_key(session, user_id))
            places = find_some_jobs(session, *mine, after=after)
            more, gone = _forget(session, [job_id for _, job_id in places])
            if len(places) == JOBS_AT_ONCE:
                return more, gone, places[-1]
            record(session, guild_id, Entry(by, said(number + more), at), at=self._clock())
            return more, gone, None

        while not is_last:
            more, gone, after = await self._database.write(write)
            number, is_last = number + more, after is None
            yield more, gone

    async def record_refusal(self, guild_id: int, user_id: int) -> None:
        """Note that a content rule refused a request of the user, now."""

        def write(session: Session) -> None:
            values = {"guild_id": guild_id, "member_key": ensure_key(session, user_id), "at": self._clock()}
            session.execute(insert(RefusalRow).values(values))

        await self._database.write(write)

    async def forget_old_refusals(self) -> None:
        """Forget those from before `REFUSALS_KEPT`, some a transaction."""
        old = table(RefusalRow).c.at < await self._database.confirmed_now(self._clock) - REFUSALS_KEPT
        while await self._database.write(lambda session: delete_some(session, table(RefusalRow), old)):
            pass

    async def fetch_refusals(self, guild_id: int, user_id: int, *, since: datetime) -> Refusals:
        """Return how often a member was refused in the guild since then, by the safety checker and by rules."""

        def read(session: Session) -> Refusals:
            key = find_key(session, user_id)
            return _refusals(session, guild_id, since, keys=[] if key is None else [key]).get(key or 0, Refusals(0, 0))

        return await self._database.read(read)

    async def fetch_most_refused(self, guild_id: int, *, since: datetime, limit: int = 5) -> list[Refusals]:
        """Return the members who were refused at all since then, the most often refused first."""

        def read(session: Session) -> list[Refusals]:
            found = [(key, each) for key, each in _refusals(session, guild_id, since).items() if each.rate > 0]
            found.sort(key=lambda one: (-(one[1].num_flagged + one[1].num_refused), -one[1].rate))
            most = dict(found[:limit])
            users = _count(session, select(MemberRow.key, MemberRow.user_id).where(MemberRow.key.in_(most)))
            return [replace(each, user_id=users.get(key, 0)) for key, each in most.items()]

        return await self._database.read(read)


def _refusals(
    session: Session, guild_id: int, since: datetime, *, keys: Collection[int] | None = None
) -> dict[int, Refusals]:
    """Return them by member key, of all members or of these. The database counts, for there may be many."""
    jobs = [JobRow.guild_id == guild_id, JobRow.created_at >= since]
    refused = [RefusalRow.guild_id == guild_id, RefusalRow.at >= since]
    if keys is not None:
        jobs.append(JobRow.member_key.in_(keys))
        refused.append(RefusalRow.member_key.in_(keys))
    ended = select(JobRow.member_key, func.count()).join(ImageRow, ImageRow.job_id == JobRow.id)
    ended = ended.where(*jobs, ImageRow.status.in_((Status.DONE, Status.WITHHELD))).group_by(JobRow.member_key)
    images, flagged = _count(session, ended), _count(session, ended.where(_IS_FLAGGED))
    accepted = _count(session, select(JobRow.member_key, func.count()).where(*jobs).group_by(JobRow.member_key))
    by_rules = select(RefusalRow.member_key, func.count()).where(*refused).group_by(RefusalRow.member_key)
    stopped = _count(session, by_rules)
    return {
        key: Refusals(images.get(key, 0), flagged.get(key, 0), stopped.get(key, 0), accepted.get(key, 0))
        for key in accepted.keys() | stopped.keys()
    }


def _count(session: Session, rows: Select[int, int]) -> dict[int, int]:
    return {row[0]: row[1] for row in session.execute(rows)}


def _fetch_blocks(session: Session) -> _Blocks:
    key = session.scalar(select(SecretRow.value).where(SecretRow.name == _BLOCK_KEY))
    return _Blocks(key, {(row.guild_id, row.who): row.until for row in session.scalars(select(BlockRow))})


def _block(session: Session, guild_id: int, user_id: int, *, until: datetime) -> None:
    who = _hash(session, user_id)
    session.execute(delete(BlockRow).where(BlockRow.guild_id == guild_id, BlockRow.who == who))
    session.execute(insert(BlockRow).values(guild_id=guild_id, who=who, until=until))


def _forget(session: Session, job_ids: Collection[str]) -> tuple[int, list[str]]:
    there = (ImageRow.job_id.in_(job_ids), ImageRow.file_sha256.is_not(None))
    number = session.scalar(select(func.count()).select_from(ImageRow).where(*there)) or 0
    return number, sorted(forget_pictures(session, *job_ids))


def _hash(session: Session, user_id: int) -> str:
    key = session.scalar(select(SecretRow.value).where(SecretRow.name == _BLOCK_KEY))
    if key is None:
        key = secrets.token_hex(32)
        session.execute(insert(SecretRow).values(name=_BLOCK_KEY, value=key))
    return _digest(key, user_id)


def _bytes_of(key: str) -> bytes:
    """Return the bytes to hash with. A damaged key hashes, too: blocks made under the sound one are lost."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return key.encode()


def _digest(key: str, user_id: int) -> str:
    return hmac.new(_bytes_of(key), str(user_id).encode(), sha256).hexdigest()
