"""The state of a job's delivery. Only the cogs act on it; `db` stores it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from generation.jobs.job import ReplyTo


class DeliveryState(StrEnum):
    """LIVE and DUE still need work; POSTED and KEPT are ends, but KEPT may become DUE again."""

    LIVE = "live"  # the job has not ended: its message shows progress
    DUE = "due"  # every image has ended: the result must be posted
    POSTED = "posted"  # people have it
    KEPT = "kept"  # it cannot be posted (channel gone, forbidden): the history has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One job's answer. Its `nonce` is the job id."""

    job_id: str
    reply_to: ReplyTo
    state: DeliveryState
    attempts: int = 0
    """How often posting the result has failed."""
    last_error: str | None = None
