"""What the API is given to work with: opened by the composition root, closed by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.web.settings import WebSettings
from db.stores.api_keys import ApiKeyStore
from db.stores.deliveries import DeliveryStore
from db.stores.guild_policy import GuildPolicyStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.shares import ShareStore
from db.stores.usage import UsageStore
from generation.admission import rooms
from generation.admission.limiter import AdmissionLimiter
from generation.clock import Clock
from generation.fair_turns import FairTurns
from generation.images.c2pa import Credentials
from generation.owner import Owner
from generation.policy.policy import ChannelContext
from generation.policy.rate_limit import RateLimiter
from generation.retry import Problems

PLACE = ChannelContext()
"""Where every request of the API is made: in no channel, so in none that is age-restricted."""

FetchRoles = Callable[[Owner], Awaitable[Sequence[int] | None]]
"""Asks for a member's roles in a server; None for one who is not there. Raise `MembersUnknownError`."""


class SharedRooms(rooms.Rooms, Protocol):
    """What Discord and the API work with together: `cogs.services.Services` is such."""

    @property
    def jobs(self) -> JobStore: ...
    @property
    def history(self) -> HistoryStore: ...
    @property
    def deliveries(self) -> DeliveryStore: ...
    @property
    def operator(self) -> OperatorStore: ...
    @property
    def guild_policy(self) -> GuildPolicyStore: ...
    @property
    def guilds(self) -> SettingsStore: ...
    @property
    def moderation(self) -> ModerationStore: ...
    @property
    def reviews(self) -> ReviewStore: ...
    @property
    def usage(self) -> UsageStore: ...
    @property
    def problems(self) -> Problems: ...
    @property
    def shares(self) -> ShareStore: ...
    @property
    def api_keys(self) -> ApiKeyStore: ...
    @property
    def admission_limiter(self) -> AdmissionLimiter: ...
    @property
    def file_rates(self) -> RateLimiter: ...
    @property
    def files_in_hand(self) -> FairTurns: ...
    @property
    def credentials(self) -> Credentials | None: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def monotonic(self) -> Callable[[], float]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """What one server of the API bears. Seconds and bytes."""

    wait_s: float = 600.0
    """How long an answer waits for its pictures."""
    body_s: float = 60.0
    """How long a body may take to come."""
    bodies_bytes: int = 256 * 2**20
    """Of all bodies that are held at once."""
    open_at_once: int = 32
    """Requests of one key that are answered at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """All that answers requests. `fetch_roles` asks Discord; without it, only keys of no server open anything."""

    rooms: SharedRooms
    fetch_roles: FetchRoles
    limits: ApiLimits = ApiLimits()
    web: WebSettings | None = None
    """Of the pages, where there are some."""
