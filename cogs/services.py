"""What the cogs are given to work with: opened by the composition root, closed by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import asdict

from cogs.common.pending_uploads import PendingUploads
from cogs.member_roles import MemberRoles
from db.admin.personal import PersonalStore
from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.stores.alt_texts import AltTextStore
from db.stores.api_keys import ApiKeyStore
from db.stores.audit_log import AuditLogStore
from db.stores.cloud import CloudStore
from db.stores.content_rules import ContentRuleStore
from db.stores.deliveries import DeliveryStore
from db.stores.favourites import FavouriteStore
from db.stores.guild_policy import GuildPolicyStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.member_preferences import MemberPreferencesStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.quotas import QuotaStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.shares import ShareStore
from db.stores.styles import StyleStore
from db.stores.usage import UsageStore
from generation.admission.limiter import AdmissionLimiter
from generation.clock import Clock, utc_now
from generation.cloud.money import CloudTerms
from generation.fair_turns import FairTurns
from generation.images.c2pa import Credentials
from generation.policy.rate_limit import RateLimiter, make_file_rate_limiter
from generation.retry import Problems
from generation.scheduling.service import GenerationService
from generation.workers.engine_settings import CheckerThresholds

FILES_IN_HAND = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms behind the cogs.

    What time it is, says the interaction (`created_at`): Discord dates what people do. How long something has taken,
    `monotonic` says. `clock` is this machine's, which may be wrong: for reports over days.
    """

    generation: GenerationService
    jobs: JobStore
    shares: ShareStore
    retention: RetentionStore
    alt_texts: AltTextStore
    api_keys: ApiKeyStore
    deliveries: DeliveryStore
    guilds: SettingsStore
    guild_policy: GuildPolicyStore
    content_rules: ContentRuleStore
    audit_log: AuditLogStore
    reviews: ReviewStore
    moderation: ModerationStore
    personal: PersonalStore
    quotas: QuotaStore
    usage: UsageStore
    history: HistoryStore
    favourites: FavouriteStore
    preferences: MemberPreferencesStore
    styles: StyleStore
    pending_uploads: PendingUploads
    operator: OperatorStore
    removed_guilds: RemovedGuildStore
    cloud: CloudStore
    rates: RateLimiter = field(default_factory=RateLimiter)
    admission_limiter: AdmissionLimiter = field(default_factory=AdmissionLimiter)
    file_rates: RateLimiter = field(default_factory=make_file_rate_limiter)
    files_in_hand: FairTurns = field(default_factory=lambda: FairTurns(FILES_IN_HAND, of_guild=4, of_member=2))
    """Held while an attached file is in memory."""
    drawing: FairTurns = field(default_factory=lambda: FairTurns(3, of_guild=2, of_member=1))
    """Held while a chart, a sheet of pictures or a message of old ones is put together in a thread."""
    member_roles: MemberRoles = field(default_factory=MemberRoles)
    problems: Problems = field(default_factory=Problems)
    """What fails now and is tried again."""
    clock: Clock = utc_now
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only run forward."""
    thresholds: Mapping[str, float] = field(default_factory=lambda: asdict(CheckerThresholds()))
    """Of the shared safety checkers, by score: above them a picture is flagged."""
    credentials: Credentials | None = None
    """What posted pictures are signed with, where the operator has a key."""
    owner_ids: frozenset[int] = frozenset()
    """Discord ids of those who run the bot."""
    shows_presence: bool = True
    """Whether the bot's status says how many pictures are painted and wait."""
    has_api: bool = False
    """Whether programs may ask over HTTP."""
    allows_dms: bool = False
    """Whether anything may be asked for in direct messages, where no server looks after what is painted."""
    allows_user_installs: bool = False
    """Whether people may bring the bot along to places that have not added it. Only they see its answers there."""
    cloud_terms: CloudTerms | None = None
    """Of the cloud worker that prompts are sent to; None where none are."""
