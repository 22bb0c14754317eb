"""What a member has chosen for themself, in every server. Frozen; the defaults choose nothing.

Names are not checked when they are read: a model or a sampler may be gone since, and is passed over when it is used
(`generation.policy.defaults`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from generation.policy.guild_preferences import AUTO


class NotifyBy(StrEnum):
    """How a member is told that their pictures are done."""

    MENTION = "mention"  # beneath the pictures
    MESSAGE = "message"  # a direct message


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPreferences:
    """One member's choices; None leaves a value to the channel, the server and the model."""

    model: str | None = None
    shape: str | None = None
    sampler: str | None = None
    negative: str | None = None
    is_private: bool = False
    """Whether answers are for the member alone, where the server leaves it to them."""
    language: str = AUTO
    """What the bot speaks to them; `auto`: as their Discord does."""
    notify_by: NotifyBy = NotifyBy.MENTION
    notify_over_s: int | None = None
    """Told without asking where the forecast wait is longer than this, in seconds; None: only when they ask."""

    @property
    def is_empty(self) -> bool:
        return self == NO_PREFERENCES


NO_PREFERENCES = MemberPreferences()
