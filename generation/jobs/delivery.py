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


class DeliveryWay(StrEnum):
    """How a result reached people; from the first way to the last."""

    TOKEN = "token"  # the answer was edited by the interaction's token
    OWN = "own-message"  # the message was edited by the bot's own token
    FOUND = "found"  # a message that showed it already was found, and edited
    NEW = "new-message"
    HISTORY = "history"  # no message: it is kept for the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One job's answer. Its `nonce` is the job id."""

    job_id: str
    reply_to: ReplyTo
    state: DeliveryState
    attempts: int = 0
    """How often posting the result has failed."""
    last_error: str | None = None
