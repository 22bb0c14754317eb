"""Keys of the API."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.column_types import PlainText
from db.models.base import DELETED, ROW_ID, Base


class ApiKeyRow(Base):
    """A key of one member in one guild. What opens is never stored, only its hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=DELETED)
    guild_id: Mapped[int] = mapped_column(index=True, info=DELETED)
    member_key: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), index=True, info=DELETED)
    name: Mapped[str] = mapped_column(PlainText(40), info=DELETED)
    digest: Mapped[str] = mapped_column(String(64), unique=True, info=DELETED)
    created_at: Mapped[datetime] = mapped_column(info=DELETED)
    used_at: Mapped[datetime | None] = mapped_column(info=DELETED)
    ended_at: Mapped[datetime | None] = mapped_column(info=DELETED)
