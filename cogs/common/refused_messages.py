"""Errors raised for a message that Discord refused, and how long to wait before it is tried again."""

from __future__ import annotations

import discord

from cogs.common.discord_errors import Refusal, Step, classify_error

LONGEST_WAIT_S = 3600.0
"""A pause that Discord asks for counts up to this."""
MAX_TRIES = 1440
"""So often a refusal that may pass is met before it counts as final: at a minute between tries, for a day."""


class UnreachableError(Exception):
    """There is no way left to post it. The text says why, to the person concerned."""


class MessageRefusedError(Exception):
    """Discord refused a message. `pause_s`: how long Discord asks to wait, at least."""

    def __init__(self, refusal: Refusal, *, pause_s: float = 0.0) -> None:
        super().__init__(f"{refusal.step}: {refusal.why}")
        self.refusal, self.pause_s = refusal, pause_s

    @property
    def step(self) -> Step:
        return self.refusal.step

    def wait_s(self, num_before: int) -> float | None:
        """Return the least pause before the next try, after `num_before` like it; None if it is final by now."""
        return self.pause_s if self.step in (Step.AGAIN, Step.LONG_WAIT) and num_before < MAX_TRIES else None

    @classmethod
    def of(cls, error: discord.HTTPException | discord.RateLimited) -> MessageRefusedError:
        return cls(classify_error(error), pause_s=min(LONGEST_WAIT_S, _read_retry_after(error)))


def _read_retry_after(error: discord.HTTPException | discord.RateLimited) -> float:
    if isinstance(error, discord.RateLimited):
        return error.retry_after
    try:
        return max(0.0, float(error.response.headers.get("Retry-After", "")))  # NaN is not above 0
    except ValueError:
        return 0.0  # none, or a date
