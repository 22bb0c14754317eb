"""The one place where a Discord user id becomes a member key and back."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

from sqlalchemy import bindparam, insert, select

from db.models import MemberRow, table
from db.sql import Executor

GUILD_ACCOUNT = 0
"""The key that stands for no member but the guild as a whole, in balances and quotas."""

_members = table(MemberRow)
_FIND = select(_members.c.key).where(_members.c.user_id == bindparam("user_id"))
_FIND_ALL = select(_members.c.user_id, _members.c.key).where(_members.c.user_id.in_(bindparam("users", expanding=True)))
_INSERT = insert(_members)


def find_key(session: Executor, user_id: int) -> int | None:
    key: int | None = session.scalar(_FIND, {"user_id": user_id})
    return key


def ensure_key(session: Executor, user_id: int) -> int:
    """Return the key of this user, made the first time."""
    key = find_key(session, user_id)
    if key is None:
        key = make_key()
        insert_keys(session, {user_id: key})
    return key


def find_keys(session: Executor, users: Collection[int]) -> dict[int, int]:
    """Return the keys of those users who have one."""
    return dict(map(tuple, session.execute(_FIND_ALL, {"users": list(users)})))


def make_key() -> int:
    """Return a key for a user who has none, made at random (63 bits)."""
    return secrets.randbelow(2**63 - 1) + 1


def insert_keys(session: Executor, keys: Mapping[int, int]) -> None:
    """Write down the keys of these users."""
    if keys:
        session.execute(_INSERT, [{"key": key, "user_id": user_id} for user_id, key in keys.items()])
