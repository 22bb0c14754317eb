"""Members, their jobs and pictures, and where the answers go."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Integer, String, Text, false, select
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from db.column_types import EnumText, JsonOf, PlainText
from db.models.base import DELETED, Base, where
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import JOB_ID_LENGTH, Status
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences
from generation.requests.recipe import Recipe
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unreadable import UNREADABLE_REQUEST, UNREADABLE_SPEC
from generation.safety.visibility import UNREADABLE_JUDGEMENT, FlaggedHandling, SafetyScores


class FileRole(StrEnum):
    """What a file is to an image."""

    RESULT = "result"
    START = "start"
    MASK = "mask"
    UPSCALE = "upscale"
    CONTROL, CONTROL_2, CONTROL_3 = "control", "control 2", "control 3"  # an image has one file of each role
    REFERENCE, REFERENCE_2 = "reference", "reference 2"
    REFERENCE_3, REFERENCE_4 = "reference 3", "reference 4"
    IMAGE_PROMPT = "image prompt"
    ORIGINAL = "original"  # what the result of a reproduction is compared with


class MemberRow(Base):
    """Whose key is whose."""

    __tablename__ = "members"

    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=DELETED)
    user_id: Mapped[int] = mapped_column(unique=True, info=DELETED)
    """Below zero once its person is being erased: it leads to no one, and is what is left to do
    (`db.admin.erasure`)."""


class MemberPreferencesRow(Base):
    """What a member has chosen for themself, in every server."""

    __tablename__ = "member_preferences"

    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, info=DELETED
    )
    choices: Mapped[MemberPreferences] = mapped_column(
        JsonOf(MemberPreferences, NO_PREFERENCES, by_field=True), info=DELETED
    )


class JobRow(Base):
    __tablename__ = "jobs"
    __table_args__ = (Index(None, "member_key", "guild_id", "created_at"), Index(None, "guild_id", "created_at"))

    id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH), primary_key=True, info=DELETED)
    guild_id: Mapped[int] = mapped_column(info=DELETED)
    member_key: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), info=DELETED)
    request: Mapped[GenerationRequest] = mapped_column(JsonOf(GenerationRequest, UNREADABLE_REQUEST), info=DELETED)
    created_at: Mapped[datetime] = mapped_column(info=DELETED)
    boost: Mapped[float] = mapped_column(server_default="1", info=DELETED)
    handling: Mapped[FlaggedHandling] = mapped_column(
        JsonOf(FlaggedHandling, FlaggedHandling(), by_field=True), server_default="{}", info=DELETED
    )
    is_from_upload: Mapped[bool] = mapped_column(server_default=false(), info=DELETED)
    parent: Mapped[str | None] = mapped_column(String(JOB_ID_LENGTH + 4), index=True, info=DELETED)
    """The image it was made from: `request.parent` again, where an index can find it."""

    member: Mapped[MemberRow] = relationship(lazy="joined", innerjoin=True, viewonly=True)
    images: Mapped[list[ImageRow]] = relationship(lazy="selectin", order_by="ImageRow.position", viewonly=True)


class ImageFileRow(Base):
    """A file that an image refers to: its result, what it starts from, or what it is compared with.

    Written in the transaction that writes the image. The result is removed when the picture is deleted; the others
    stay as long as the image.
    """

    __tablename__ = "image_files"
    __table_args__ = (Index(None, "sha256", "role"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, info=DELETED)
    role: Mapped[FileRole] = mapped_column(EnumText(FileRole), primary_key=True, info=DELETED)
    sha256: Mapped[str] = mapped_column(String(64), info=DELETED)


class ImageRow(Base):
    """One picture. `attempt` is the fencing token: a write that names another one changes nothing."""

    __tablename__ = "images"
    __table_args__ = (
        Index("uq_images_job_id_position", "job_id", "position", unique=True),
        # A partial index stays small however many pictures there are: recovery and the queue look only at the living.
        Index("ix_images_alive", "job_id", **where("status IN ('waiting', 'running')")),
        Index("ix_images_withheld", "ended_at", **where("status = 'withheld'")),
    )

    id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH + 4), primary_key=True, info=DELETED)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), info=DELETED)
    position: Mapped[int] = mapped_column(Integer(), info=DELETED)
    spec: Mapped[ImageSpec] = mapped_column(JsonOf(ImageSpec, UNREADABLE_SPEC), info=DELETED)
    status: Mapped[Status] = mapped_column(EnumText(Status, Status.FAILED), info=DELETED)
    attempt: Mapped[int] = mapped_column(Integer(), info=DELETED)
    reserved: Mapped[int] = mapped_column(info=DELETED)
    charged: Mapped[int] = mapped_column(info=DELETED)
    recipe: Mapped[Recipe | None] = mapped_column(JsonOf(Recipe), info=DELETED)
    error: Mapped[str | None] = mapped_column(String(60), info=DELETED)
    judgement: Mapped[SafetyScores | None] = mapped_column(JsonOf(SafetyScores, UNREADABLE_JUDGEMENT), info=DELETED)
    ended_at: Mapped[datetime | None] = mapped_column(info=DELETED)
    alt: Mapped[str | None] = mapped_column(PlainText(), info=DELETED)
    file_sha256: Mapped[str | None] = column_property(
        select(ImageFileRow.sha256)
        .where(ImageFileRow.image_id == id, ImageFileRow.role == FileRole.RESULT)
        .correlate_except(ImageFileRow)
        .scalar_subquery()
    )
    """The file of its result."""


class UploadRow(Base):
    """A file that a member attached to start from, as long as a picture of theirs needs it
    (`db.stores.image_files`)."""

    __tablename__ = "uploads"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, info=DELETED)
    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True, info=DELETED
    )


class DeliveryRow(Base):
    """Where a job's answer goes. Its nonce is the job's id."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "job_id", **where("state = 'due'")),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, info=DELETED)
    application_id: Mapped[int] = mapped_column(info=DELETED)
    channel_id: Mapped[int] = mapped_column(info=DELETED)
    token: Mapped[str | None] = mapped_column(Text(), info=DELETED)
    token_expires_at: Mapped[datetime | None] = mapped_column(info=DELETED)
    message_id: Mapped[int | None] = mapped_column(info=DELETED)
    locale: Mapped[str] = mapped_column(String(16), info=DELETED)
    is_private: Mapped[bool] = mapped_column(info=DELETED)
    state: Mapped[DeliveryState] = mapped_column(EnumText(DeliveryState, DeliveryState.KEPT), info=DELETED)
    attempts: Mapped[int] = mapped_column(Integer(), info=DELETED)
    last_error: Mapped[str | None] = mapped_column(String(200), info=DELETED)


class FavouriteRow(Base):
    """A job that a member likes, their own or another's."""

    __tablename__ = "favourites"

    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, info=DELETED
    )
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True, info=DELETED
    )
    at: Mapped[datetime] = mapped_column(info=DELETED)


class NotificationRow(Base):
    """A member who wants to be told when a job is done; gone once they were."""

    __tablename__ = "tellings"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, info=DELETED)
    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True, info=DELETED
    )
