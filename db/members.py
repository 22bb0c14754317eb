"""The one place where a Discord user id becomes a member key and back."""

from __future__ import annotations

import secrets

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.models import MemberRow

GUILD_ACCOUNT = 0
"""The key that stands for no member but the guild as a whole, in balances and quotas."""


def find_key(session: Session, user_id: int) -> int | None:
    return session.scalar(select(MemberRow.key).where(MemberRow.user_id == user_id))


def ensure_key(session: Session, user_id: int) -> int:
    """The key of this user, made at random (63 bits) the first time."""
    key = find_key(session, user_id)
    if key is None:
        key = secrets.randbelow(2**63 - 1) + 1
        session.execute(insert(MemberRow).values(key=key, user_id=user_id))
    return key
