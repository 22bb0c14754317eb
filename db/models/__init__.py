"""The tables. Every column declares in `info["on_erase"]` what becomes of it when its member is erased.

Rows never carry a Discord user id: they carry a random member key, and `members` alone knows whose it is. Deleting a
row there takes the member's jobs, pictures and deliveries with it; the ledger keeps its sums under a key that leads to
no one. Tables are made by Alembic, never from here; a test holds the two equal.
"""

from db.models.api_keys import ApiKeyRow
from db.models.base import Base, table
from db.models.cloud import CloudPostingRow
from db.models.guilds import ContentRuleRow, GuildSettingsRow, GuildStandingRow, RemovedGuildRow, RoleBoostRow, StyleRow
from db.models.jobs import (
    DeliveryRow,
    FavouriteRow,
    FileRole,
    ImageFileRow,
    ImageRow,
    JobRow,
    MemberPreferencesRow,
    MemberRow,
    NotificationRow,
    UploadRow,
)
from db.models.moderation import BlockRow, ChangeRow, RefusalRow, ReportRow, ReviewRow
from db.models.program import ClockReadingRow, CounterRow, FleetEpochRow, OperatorChoiceRow, SecretRow
from db.models.quotas import BalanceRow, LedgerRow, QuotaRow
from db.models.shares import ShareRow

__all__ = [
    "ApiKeyRow",
    "BalanceRow",
    "Base",
    "BlockRow",
    "ChangeRow",
    "ClockReadingRow",
    "CloudPostingRow",
    "ContentRuleRow",
    "CounterRow",
    "DeliveryRow",
    "FavouriteRow",
    "FileRole",
    "FleetEpochRow",
    "GuildSettingsRow",
    "GuildStandingRow",
    "ImageFileRow",
    "ImageRow",
    "JobRow",
    "LedgerRow",
    "MemberPreferencesRow",
    "MemberRow",
    "NotificationRow",
    "OperatorChoiceRow",
    "QuotaRow",
    "RefusalRow",
    "RemovedGuildRow",
    "ReportRow",
    "ReviewRow",
    "RoleBoostRow",
    "SecretRow",
    "ShareRow",
    "StyleRow",
    "UploadRow",
    "table",
]
