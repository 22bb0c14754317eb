"""What members and guilds may use, and what they used."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db.column_types import EnumText
from db.models.base import DELETED, KEPT, PSEUDONYM, ROW_ID, Base, where
from generation.jobs.job import JOB_ID_LENGTH
from generation.policy.quota import Scope, Unit


class LedgerRow(Base):
    """One posting: what it adds to (or takes from) a member's and their guild's balance in one window.

    Append-only: triggers refuse UPDATE and DELETE. That an image is reserved once and ends once is an index's word,
    not a caller's care.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        Index("uq_ledger_reserve", "image_id", unique=True, **where("kind = 'reserve'")),
        Index("uq_ledger_end", "image_id", unique=True, **where("kind IN ('settle', 'refund')")),
    )

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    guild_id: Mapped[int] = mapped_column(info=KEPT)
    member_key: Mapped[int] = mapped_column(info=PSEUDONYM)
    window: Mapped[datetime] = mapped_column(info=KEPT)
    kind: Mapped[str] = mapped_column(String(8), info=KEPT)
    image_id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH + 4), info=PSEUDONYM)
    num_images: Mapped[int] = mapped_column(info=KEPT)
    reserved: Mapped[int] = mapped_column(info=KEPT)
    used: Mapped[int] = mapped_column(info=KEPT)
    at: Mapped[datetime] = mapped_column(info=KEPT)
    cost_version: Mapped[int | None] = mapped_column(Integer(), info=KEPT)


class BalanceRow(Base):
    """The ledger's sums, for a quota check in a few rows. Member key 0 is the guild as a whole."""

    __tablename__ = "balances"
    __table_args__ = (Index(None, "member_key", "window"), Index(None, "guild_id", "window"), Index(None, "window"))

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    member_key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=PSEUDONYM)
    window: Mapped[datetime] = mapped_column(primary_key=True, info=KEPT)
    num_images: Mapped[int] = mapped_column(info=KEPT)
    reserved: Mapped[int] = mapped_column(info=KEPT)
    used: Mapped[int] = mapped_column(info=KEPT)


class QuotaRow(Base):
    """An allowance. `subject` is 0 for the guild, a role id, or a member key."""

    __tablename__ = "quotas"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    scope: Mapped[Scope] = mapped_column(EnumText(Scope), primary_key=True, info=KEPT)
    subject: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, index=True, info=DELETED)
    unit: Mapped[Unit] = mapped_column(EnumText(Unit), primary_key=True, info=KEPT)
    allowance: Mapped[int] = mapped_column(info=KEPT)
    window_hours: Mapped[int | None] = mapped_column(Integer(), info=KEPT)
