"""What the tracker knows of one job on its way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from cogs.common.discord_errors import Step
from cogs.common.messages import MessageSpec
from cogs.common.posting_turns import Turn
from cogs.delivery._poster import Posted
from generation import metrics, tracing
from generation.jobs.delivery import DeliveryWay
from generation.jobs.job import ReplyTo


@dataclass(slots=True)
class TrackedJob:
    """What the tracker knows of one job on its way. Lost without harm."""

    order: int
    """The smaller, the longer it is followed: the older of two results is posted first."""
    reply_to: ReplyTo | None = None
    """Where the answer goes, if it was known when tracking began; else it is looked up."""
    guild_id: int | None = None
    """Its owner's, once its progress was looked at."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ended_at_s: float = 0.0
    """When that was heard (monotonic)."""
    shown: MessageSpec | None = None
    num_edits: int = 0
    first: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Whether the message says anything of the job yet; settled with the first edit, or when there will be none."""
    is_message_gone: bool = False
    edit: Turn | None = None
    """The edit that is showing progress right now."""
    posted: Posted | None = None
    """Where the result stands, once it does. While the storage cannot take that down, it is not posted again."""
    is_owner_noted: bool = False
    """Whether it is noted that the owner is to be told, because the wait is a long one."""
    told: set[int] = field(default_factory=set)
    """Who was told that it is done. While the storage cannot take that down, they are not told again."""
    refused: Counter[Step] = field(default_factory=Counter)
    """How often Discord refused the result in a way that may pass."""

    def end(self) -> None:
        """Note that the job has ended: what comes now is its result."""
        if not self.ended.is_set():
            self.ended_at_s = time.monotonic()
        self.ended.set()
        if self.edit is not None:
            self.edit.give_up()

    def count_delivery(self, job_id: str, way: DeliveryWay) -> None:
        """Count how long the result took on its way, now that people have it or never will."""
        if way is not DeliveryWay.HISTORY:
            metrics.DELIVERY_TIME.observe(time.monotonic() - self.ended_at_s)
        tracing.record(job_id, "posted", self.ended_at_s, way=way)
        tracing.end(job_id, is_posted=True)


def settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
