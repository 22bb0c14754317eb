"""What a cloud worker cost."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import KEPT, PSEUDONYM, ROW_ID, Base, where
from generation.jobs.job import JOB_ID_LENGTH


class CloudPostingRow(Base):
    """One posting of money in a month, in millionths: reserved, asked for (adds nothing), settled.

    Append-only, like the ledger beside it. That an image is paid for once and settled once is an index's word.
    """

    __tablename__ = "cloud_ledger"
    __table_args__ = (
        Index("uq_cloud_ledger_reserve", "image_id", unique=True, **where("kind = 'reserve'")),
        Index("uq_cloud_ledger_asked", "prediction_id", unique=True, **where("kind = 'asked'")),
        Index("uq_cloud_ledger_settle", "prediction_id", unique=True, **where("kind = 'settle'")),
        Index(None, "prediction_id"),
        Index(None, "month"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    prediction_id: Mapped[str] = mapped_column(String(32), info=KEPT)
    image_id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH + 4), info=PSEUDONYM)
    kind: Mapped[str] = mapped_column(String(8), info=KEPT)
    month: Mapped[str] = mapped_column(String(7), info=KEPT)
    reserved: Mapped[int] = mapped_column(info=KEPT)
    spent: Mapped[int] = mapped_column(info=KEPT)
    remote_id: Mapped[str | None] = mapped_column(String(64), info=KEPT)
    at: Mapped[datetime] = mapped_column(info=KEPT)
