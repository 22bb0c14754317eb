"""The stores of a guild's choices, joined as in the program."""

from __future__ import annotations

from dataclasses import dataclass

from db.engine import Database
from db.stores.audit_log import AuditLogStore
from db.stores.content_rules import ContentRuleStore
from db.stores.guild_policy import GuildPolicyStore
from db.stores.reviews import ReviewStore
from generation.clock import Clock, utc_now


@dataclass(frozen=True)
class GuildStores:
    guild_policy: GuildPolicyStore
    content_rules: ContentRuleStore
    audit_log: AuditLogStore
    reviews: ReviewStore


def open_stores(database: Database, *, clock: Clock = utc_now) -> GuildStores:
    policy = GuildPolicyStore(database, clock=clock)
    return GuildStores(
        guild_policy=policy,
        content_rules=ContentRuleStore(database, on_change=policy.forget, clock=clock),
        audit_log=AuditLogStore(database),
        reviews=ReviewStore(database, clock=clock),
    )
