"""The one place where a Discord user id becomes a member key and back."""

from __future__ import annotations

import secrets

from sqlalchemy import bindparam, insert, select

from db.models import MemberRow, table
from db.sql import Executor

GUILD_ACCOUNT = 0
"""The key that stands for no member but the guild as a whole, in balances and quotas."""

_members = table(MemberRow)
_FIND = select(_members.c.key).where(_members.c.user_id == bindparam("user_id"))
_INSERT = insert(_members)


def find_key(session: Executor, user_id: int) -> int | None:
    key: int | None = session.scalar(_FIND, {"user_id": user_id})
    return key


def ensure_key(session: Executor, user_id: int) -> int:
    """Return the key of this user, made at random (63 bits) the first time."""
    key = find_key(session, user_id)
    if key is None:
        key = secrets.randbelow(2**63 - 1) + 1
        session.execute(_INSERT, {"key": key, "user_id": user_id})
    return key
