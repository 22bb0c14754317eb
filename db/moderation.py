"""Who is blocked, what was reported, and who is refused how often. Blocks outlive the erasure of whom they name."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from async_lru import alru_cache
from sqlalchemy import Select, Text, delete, exists, func, insert, select, type_coerce
from sqlalchemy.orm import Session

from db.engine import Database
from db.files import forget_pictures
from db.members import ensure_key, find_key
from db.models import BlockRow, ImageRow, JobRow, MemberRow, RefusalRow, ReportRow, SecretRow
from generation.job import Status
from generation.ports import Clock

_BLOCK_KEY = "blocks"
FOR_EVER = timedelta(days=365 * 100)
REFUSALS_KEPT = timedelta(days=30)
_PURGED_AT_A_TIME = 100
_IS_FLAGGED = type_coerce(ImageRow.judgement, Text).contains('"is_flagged":true', autoescape=True)
"""As `db.types.write_json` writes it; a judgement that cannot be read as JSON counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Somebody's word about a picture, until a moderator has looked at it."""

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

    async def block(self, guild_id: int, user_id: int, *, lasting: timedelta | None) -> datetime:
        """Until when; None means for ever."""
        until = self._clock() + (lasting or FOR_EVER)

        def write(session: Session) -> None:
            who = _hash(session, user_id)
            session.execute(delete(BlockRow).where(BlockRow.guild_id == guild_id, BlockRow.who == who))
            session.execute(insert(BlockRow).values(guild_id=guild_id, who=who, until=until))

        await self._database.write(write)
        self._blocks.cache_clear()
        return until

    async def unblock(self, guild_id: int, user_id: int) -> bool:
        """False if nobody had blocked them."""

        def write(session: Session) -> bool:
            mine = (BlockRow.guild_id == guild_id, BlockRow.who == _hash(session, user_id))
            return session.execute(delete(BlockRow).where(*mine).returning(BlockRow.who)).first() is not None

        was_blocked = await self._database.write(write)
        self._blocks.cache_clear()
        return was_blocked

    async def blocked_until(self, guild_id: int, user_id: int) -> datetime | None:
        """None for who is not blocked now."""
        until = (await self._blocks()).until(guild_id, user_id)
        return until if until is not None and until > self._clock() else None

    async def _read_blocks(self) -> _Blocks:
        return await self._database.read(_fetch_blocks)

    async def report(self, guild_id: int, job_id: str, *, by: int, reason: str) -> bool:
        """False if the same person has reported the same job already."""

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
        """Open ones, oldest first."""
        rows = select(ReportRow).where(ReportRow.guild_id == guild_id).order_by(ReportRow.id).limit(limit)
        found = await self._database.read(lambda session: session.scalars(rows).all())
        return [Report(id=r.id, guild_id=r.guild_id, job_id=r.job_id, at=r.at, reason=r.reason) for r in found]

    async def close_reports(self, guild_id: int, job_id: str) -> None:
        """A moderator has dealt with this job."""
        closing = delete(ReportRow).where(ReportRow.guild_id == guild_id, ReportRow.job_id == job_id)
        await self._database.write(lambda session: session.execute(closing) and None)

    async def purge(self, guild_id: int, user_id: int) -> tuple[int, list[str]]:
        """Let go of all finished pictures of a member in a guild: how many, and the files nothing needs any more.

        In parts, so that others write in between.
        """
        job_ids = await self._database.read(lambda session: _with_pictures(session, guild_id, user_id))
        number, files = 0, set[str]()
        for start in range(0, len(job_ids), _PURGED_AT_A_TIME):
            part = job_ids[start : start + _PURGED_AT_A_TIME]
            gone, unneeded = await self._database.write(partial(_forget, job_ids=part))
            number, files = number + gone, files | unneeded
        return number, sorted(files)

    async def record_refusal(self, guild_id: int, user_id: int) -> None:
        """A content rule refused a request of theirs, now."""

        def write(session: Session) -> None:
            values = {"guild_id": guild_id, "member_key": ensure_key(session, user_id), "at": self._clock()}
            session.execute(insert(RefusalRow).values(values))

        await self._database.write(write)

    async def forget_old_refusals(self) -> None:
        """Those from before `REFUSALS_KEPT`."""
        now = await self._database.confirmed_now(self._clock)
        old = delete(RefusalRow).where(RefusalRow.at < now - REFUSALS_KEPT)
        await self._database.write(lambda session: session.execute(old) and None)

    async def fetch_refusals(self, guild_id: int, user_id: int, *, since: datetime) -> Refusals:
        """How often a member was refused in the guild since then, by the safety checker and by rules."""

        def read(session: Session) -> Refusals:
            key = find_key(session, user_id)
            return _refusals(session, guild_id, since, keys=[] if key is None else [key]).get(key or 0, Refusals(0, 0))

        return await self._database.read(read)

    async def fetch_most_refused(self, guild_id: int, *, since: datetime, limit: int = 5) -> list[Refusals]:
        """The members who were refused at all since then, the most often refused first."""

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
    """By member key, of all members or of these. Counted by the database: a guild has many pictures in a month."""
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


def _with_pictures(session: Session, guild_id: int, user_id: int) -> Sequence[str]:
    """The jobs of a member in a guild that have files."""
    mine = (JobRow.guild_id == guild_id, JobRow.member_key == find_key(session, user_id))
    there = exists().where(ImageRow.job_id == JobRow.id, ImageRow.file_sha256.is_not(None))
    return session.scalars(select(JobRow.id).where(*mine, there)).all()


def _forget(session: Session, job_ids: Sequence[str]) -> tuple[int, set[str]]:
    number, files = 0, set[str]()
    for job_id in job_ids:
        there = (ImageRow.job_id == job_id, ImageRow.file_sha256.is_not(None))
        number += session.scalar(select(func.count()).select_from(ImageRow).where(*there)) or 0
        files |= forget_pictures(session, job_id)
    return number, files


def _hash(session: Session, user_id: int) -> str:
    key = session.scalar(select(SecretRow.value).where(SecretRow.name == _BLOCK_KEY))
    if key is None:
        key = secrets.token_hex(32)
        session.execute(insert(SecretRow).values(name=_BLOCK_KEY, value=key))
    return _digest(key, user_id)


def _bytes_of(key: str) -> bytes:
    """A damaged key still hashes: the blocks made under the sound one are lost, requests are not."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return key.encode()


def _digest(key: str, user_id: int) -> str:
    return hmac.new(_bytes_of(key), str(user_id).encode(), sha256).hexdigest()
