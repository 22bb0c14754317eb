"""Who changed what in a guild's settings and rules: kept, and told in its log channel if it has one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MAX_CHANGE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `user_id` is None once its member was erased."""

    guild_id: int
    user_id: int | None
    at: datetime
    text: str
