"""Keys of the API: each belongs to one member in one guild. Only their hashes are stored.

A key is 256 random bits, so its SHA-256 cannot be guessed back and needs no salt. It is looked up at every request and
never kept in memory: one that was revoked, also by another process, stops at once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from db.batches import delete_some
from db.engine import Database
from db.models import ApiKeyRow, MemberRow, table
from db.stores.audit_log import Entry, record
from db.stores.members import ensure_key, find_key
from generation.clock import Clock
from generation.owner import Owner
from generation.policy.errors import KeyNameError, TooManyKeysError, UnknownKeyError

PREFIX = "atl_"
MAX_KEYS = 10
"""Of one member in one guild."""
MAX_NAME = 40
ENDED_KEPT = timedelta(days=30)
NOTED_EVERY = timedelta(minutes=1)
"""How often at most the time of the last use is written."""

_keys, _members = table(ApiKeyRow), table(MemberRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored."""

    id: int
    owner: Owner
    name: str
    created_at: datetime
    used_at: datetime | None
    ended_at: datetime | None


class ApiKeyStore:
    """See the module's text."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, owner: Owner, name: str, entry: Entry | None = None) -> str:
        """Return a new key: the only time that it is known. Raise `InvalidRequestError`."""
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise KeyNameError(most=MAX_NAME)
        secret = PREFIX + secrets.token_urlsafe(32)

        def write(session: Session) -> None:
            _create(session, owner, name, digest=hash_key(secret), at=self._clock())
            if entry is not None:
                record(session, owner.guild_id, entry, at=self._clock())

        await self._database.write(write)
        return secret

    async def find(self, secret: str) -> ApiKey | None:
        """Return the key, None for one that never was or has ended. Its use is noted, once a minute at most."""
        found = await self._database.read(lambda session: _find(session, hash_key(secret)))
        now = self._clock()
        if found is not None and (found.used_at is None or abs(now - found.used_at) >= NOTED_EVERY):
            used = update(ApiKeyRow).where(ApiKeyRow.id == found.id).values(used_at=now)
            await self._database.write(lambda session: session.execute(used) and None)
        return found

    async def fetch_live(self, owner: Owner) -> list[ApiKey]:
        """Return the keys of a member in that guild that have not ended, oldest first."""
        return await self._database.read(lambda session: _fetch_live(session, owner))

    async def revoke(self, owner: Owner, name: str, entry: Entry | None = None) -> None:
        """End the member's key of that name. Raise `UnknownKeyError`."""
        mine = (ApiKeyRow.guild_id == owner.guild_id, ApiKeyRow.name == " ".join(name.split()))

        def write(session: Session) -> int:
            of_member = ApiKeyRow.member_key == find_key(session, owner.user_id)
            ended = end_keys(session, *mine, of_member, at=self._clock())
            if ended and entry is not None:
                record(session, owner.guild_id, entry, at=self._clock())
            return ended

        if not await self._database.write(write):
            raise UnknownKeyError(name=name[:MAX_NAME])

    async def end(self, key_id: int) -> None:
        """End one key."""
        await self._database.write(lambda session: end_keys(session, ApiKeyRow.id == key_id, at=self._clock()))

    async def end_all(self, owner: Owner) -> None:
        """End every key of a member in that guild."""
        await self._database.write(lambda session: end_keys_of(session, owner, at=self._clock()))

    async def forget_ended(self) -> None:
        """Delete those that ended before `ENDED_KEPT`, some a transaction."""
        old = _keys.c.ended_at < await self._database.confirmed_now(self._clock) - ENDED_KEPT
        while await self._database.write(lambda session: delete_some(session, _keys, old)):
            pass


def hash_key(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def end_keys(session: Session, *where: ColumnElement[bool], at: datetime) -> int:
    """End keys that have not ended. Return how many."""
    ending = update(ApiKeyRow).where(ApiKeyRow.ended_at.is_(None), *where).values(ended_at=at)
    ended = session.execute(ending.returning(ApiKeyRow.id).execution_options(synchronize_session=False))
    return len(ended.all())


def end_keys_of(session: Session, owner: Owner, *, at: datetime) -> int:
    """End the keys of a member in a guild. Return how many."""
    of_member = ApiKeyRow.member_key == find_key(session, owner.user_id)
    return end_keys(session, ApiKeyRow.guild_id == owner.guild_id, of_member, at=at)


def _create(session: Session, owner: Owner, name: str, *, digest: str, at: datetime) -> None:
    member_key = ensure_key(session, owner.user_id)
    mine = (ApiKeyRow.guild_id == owner.guild_id, ApiKeyRow.member_key == member_key, ApiKeyRow.ended_at.is_(None))
    if (session.scalar(select(func.count()).select_from(ApiKeyRow).where(*mine)) or 0) >= MAX_KEYS:
        raise TooManyKeysError(most=MAX_KEYS)
    if session.scalar(select(ApiKeyRow.id).where(*mine, ApiKeyRow.name == name)) is not None:
        raise KeyNameError(most=MAX_NAME)
    values = {"guild_id": owner.guild_id, "member_key": member_key, "name": name, "digest": digest, "created_at": at}
    session.execute(insert(ApiKeyRow).values(values))


def _find(session: Session, digest: str) -> ApiKey | None:
    """Return the key, None where nothing opens: a member who is being erased has an id below zero."""
    found = select(ApiKeyRow, _members.c.user_id).join(_members, _members.c.key == ApiKeyRow.member_key)
    found = found.where(ApiKeyRow.digest == digest, ApiKeyRow.ended_at.is_(None), _members.c.user_id >= 0)
    row = session.execute(found).one_or_none()
    return None if row is None else _build(row[0], row[1])


def _fetch_live(session: Session, owner: Owner) -> list[ApiKey]:
    mine = (ApiKeyRow.guild_id == owner.guild_id, ApiKeyRow.member_key == find_key(session, owner.user_id))
    live = select(ApiKeyRow).where(*mine, ApiKeyRow.ended_at.is_(None)).order_by(ApiKeyRow.id)
    return [_build(row, owner.user_id) for row in session.scalars(live)]


def _build(row: ApiKeyRow, user_id: int) -> ApiKey:
    return ApiKey(
        id=row.id,
        owner=Owner(row.guild_id, user_id),
        name=row.name,
        created_at=row.created_at,
        used_at=row.used_at,
        ended_at=row.ended_at,
    )
