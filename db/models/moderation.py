"""What moderators see and do in a guild."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.column_types import PlainText
from db.models.base import DELETED, KEPT, PSEUDONYM, ROW_ID, Base


class ReviewRow(Base):
    """A picture that safety kept back, blurred, for a guild's moderators; gone after `until`."""

    __tablename__ = "reviews"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, info=DELETED)
    sha256: Mapped[str] = mapped_column(String(64), index=True, info=DELETED)
    until: Mapped[datetime] = mapped_column(index=True, info=DELETED)


class BlockRow(Base):
    """Who may ask for nothing in a guild. `who` is a keyed hash, so that erasing a member does not unblock them."""

    __tablename__ = "blocks"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    who: Mapped[str] = mapped_column(String(64), primary_key=True, info=PSEUDONYM)
    until: Mapped[datetime] = mapped_column(info=KEPT)


class ReportRow(Base):
    """A report about a job, until a moderator has looked at it; gone with either of them."""

    __tablename__ = "reports"
    __table_args__ = (Index(None, "job_id", "by"),)

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=DELETED)
    guild_id: Mapped[int] = mapped_column(index=True, info=DELETED)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), info=DELETED)
    by: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), index=True, info=DELETED)
    at: Mapped[datetime] = mapped_column(info=DELETED)
    reason: Mapped[str] = mapped_column(PlainText(), info=DELETED)


class ChangeRow(Base):
    """The audit trail: who changed what in a guild. `by` is forgotten with the member, what changed is not."""

    __tablename__ = "changes"
    __table_args__ = (Index(None, "guild_id", "at"),)

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    guild_id: Mapped[int] = mapped_column(info=KEPT)
    by: Mapped[int | None] = mapped_column(ForeignKey("members.key", ondelete="SET NULL"), index=True, info=PSEUDONYM)
    at: Mapped[datetime] = mapped_column(info=KEPT)
    text: Mapped[str] = mapped_column(PlainText(), info=KEPT)


class RefusalRow(Base):
    """A request that a content rule refused: of whom and when, not what it said; kept for 30 days."""

    __tablename__ = "refusals"
    __table_args__ = (Index(None, "guild_id", "at"),)

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=DELETED)
    guild_id: Mapped[int] = mapped_column(info=DELETED)
    member_key: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), index=True, info=DELETED)
    at: Mapped[datetime] = mapped_column(index=True, info=DELETED)
