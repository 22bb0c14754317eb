"""A post in which a job is shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Where it stands. `job_id`: None once the job is gone; `message_id`: None while it is being posted.

    `is_thread`: its channel is a thread of its own in a forum, which goes with it.
    """

    id: int
    guild_id: int
    job_id: str | None
    channel_id: int
    message_id: int | None
    is_thread: bool
    at: datetime
