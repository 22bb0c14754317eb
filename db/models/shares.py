"""What members share: posts in a server's showcase."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import KEPT, PSEUDONYM, ROW_ID, Base
from generation.jobs.job import JOB_ID_LENGTH


class ShareRow(Base):
    """A post that shows a job. It outlives its job until the post is deleted: then it names no one any more."""

    __tablename__ = "shares"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    guild_id: Mapped[int] = mapped_column(index=True, info=KEPT)
    job_id: Mapped[str | None] = mapped_column(
        String(JOB_ID_LENGTH), ForeignKey("jobs.id", ondelete="SET NULL"), unique=True, info=PSEUDONYM
    )
    channel_id: Mapped[int] = mapped_column(info=KEPT)
    message_id: Mapped[int | None] = mapped_column(info=KEPT)
    """None while it is being posted."""
    is_thread: Mapped[bool] = mapped_column(info=KEPT)
    """Whether `channel_id` is a thread of its own in a forum, which goes with the post."""
    at: Mapped[datetime] = mapped_column(info=KEPT)
