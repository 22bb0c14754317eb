"""A guild's settings, as its administrators chose them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from generation.errors import InvalidRequestError
from generation.policy.errors import UnknownTimeZoneError
from generation.policy.guild_preferences import GuildPreferences
from generation.requests.ranges import check_number
from generation.safety.visibility import SafetyLevel
from generation.translatable import Phrase

MIN_WEIGHT, MAX_WEIGHT = 0.01, 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuildSettings:
    """One guild's settings; the defaults are those of a guild that never chose. Raise `InvalidRequestError`."""

    guild_id: int
    weight: float = 1.0
    """The guild's claim on the GPU relative to others."""
    safety: SafetyLevel = SafetyLevel.BLOCK
    timezone: str = "UTC"
    """IANA name: where a quota's day begins."""
    choices: GuildPreferences = field(default_factory=GuildPreferences)

    def __post_init__(self) -> None:
        check_number(Phrase("Weight"), self.weight, low=MIN_WEIGHT, high=MAX_WEIGHT)
        zone(self.timezone)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBoost:
    """What members of a role may claim inside their guild, relative to the others. Raise `InvalidRequestError`."""

    guild_id: int
    role_id: int
    boost: float

    def __post_init__(self) -> None:
        check_number(Phrase("Boost"), self.boost, low=MIN_WEIGHT, high=MAX_WEIGHT)


def check_claim(stored: object) -> float:
    """Return a stored weight or boost as one that may be, or 1 if it is no number."""
    if not isinstance(stored, int | float) or not math.isfinite(stored):
        return 1.0
    return min(max(float(stored), MIN_WEIGHT), MAX_WEIGHT)


def check_zone(stored: str) -> str:
    """Return the name of a stored time zone, or UTC if this machine does not know it."""
    try:
        return zone(stored).key
    except InvalidRequestError:
        return "UTC"


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name. Raise `InvalidRequestError` if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownTimeZoneError(name=name[:60]) from None


def say_weight(value: float) -> Phrase:
    """Return what the audit log of a server keeps of its new weight."""
    return Phrase("the operator gave this server weight {value}", value=value)
