"""The tables. Every column declares in `info["on_erase"]` what becomes of it when its member is erased.

Rows never carry a Discord user id: they carry a random member key, and `members` alone knows whose it is. Deleting a
row there takes the member's jobs, pictures and deliveries with it; the ledger keeps its sums under a key that leads to
no one. Tables are made by Alembic, never from here; a test holds the two equal.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, false, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from db.column_types import EnumText, JsonOf, OnErase, UtcDateTime
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import JOB_ID_LENGTH, Status
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.quota import Scope, Unit
from generation.requests.recipe import Recipe
from generation.requests.spec import UNREADABLE_REQUEST, UNREADABLE_SPEC, GenerationRequest, ImageSpec
from generation.rules.rule import UNREADABLE_RULE, Rule
from generation.safety.visibility import UNREADABLE_JUDGEMENT, FlaggedHandling, SafetyLevel, SafetyScores

_DELETED: dict[str, Any] = {"on_erase": OnErase.DELETED}
_PSEUDONYM: dict[str, Any] = {"on_erase": OnErase.PSEUDONYM}
_KEPT: dict[str, Any] = {"on_erase": OnErase.KEPT}

# Names for every constraint: without them a later migration could not drop one.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class FileRole(StrEnum):
    """What a file is to an image."""

    RESULT = "result"
    START = "start"
    MASK = "mask"
    UPSCALE = "upscale"
    ORIGINAL = "original"  # what the result of a reproduction is compared with


def _where(condition: str) -> dict[str, Any]:
    """Return the condition of a partial index, for either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime(), int: BigInteger(), float: Float()}


def table(row: type[Base]) -> Table:
    """Return the table of a model, for statements on the busiest paths: they cost a tenth of mapped ones."""
    assert isinstance(row.__table__, Table)
    return row.__table__


class MemberRow(Base):
    """Whose key is whose."""

    __tablename__ = "members"

    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_DELETED)
    user_id: Mapped[int] = mapped_column(unique=True, info=_DELETED)
    """Below zero once its person is being erased: it leads to no one, and is what is left to do
    (`db.admin.erasure`)."""


class JobRow(Base):
    __tablename__ = "jobs"
    __table_args__ = (Index(None, "member_key", "guild_id", "created_at"), Index(None, "guild_id", "created_at"))

    id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH), primary_key=True, info=_DELETED)
    guild_id: Mapped[int] = mapped_column(info=_DELETED)
    member_key: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), info=_DELETED)
    request: Mapped[GenerationRequest] = mapped_column(JsonOf(GenerationRequest, UNREADABLE_REQUEST), info=_DELETED)
    created_at: Mapped[datetime] = mapped_column(info=_DELETED)
    boost: Mapped[float] = mapped_column(server_default="1", info=_DELETED)
    handling: Mapped[FlaggedHandling] = mapped_column(
        JsonOf(FlaggedHandling, FlaggedHandling(), by_field=True), server_default="{}", info=_DELETED
    )
    is_from_upload: Mapped[bool] = mapped_column(server_default=false(), info=_DELETED)
    parent: Mapped[str | None] = mapped_column(String(JOB_ID_LENGTH + 4), index=True, info=_DELETED)
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

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, info=_DELETED)
    role: Mapped[FileRole] = mapped_column(EnumText(FileRole), primary_key=True, info=_DELETED)
    sha256: Mapped[str] = mapped_column(String(64), info=_DELETED)


class ImageRow(Base):
    """One picture. `attempt` is the fencing token: a write that names another one changes nothing."""

    __tablename__ = "images"
    __table_args__ = (
        Index("uq_images_job_id_position", "job_id", "position", unique=True),
        # A partial index stays small however many pictures there are: recovery and the queue look only at the living.
        Index("ix_images_alive", "job_id", **_where("status IN ('waiting', 'running')")),
        Index("ix_images_withheld", "ended_at", **_where("status = 'withheld'")),
    )

    id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH + 4), primary_key=True, info=_DELETED)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), info=_DELETED)
    position: Mapped[int] = mapped_column(Integer(), info=_DELETED)
    spec: Mapped[ImageSpec] = mapped_column(JsonOf(ImageSpec, UNREADABLE_SPEC), info=_DELETED)
    status: Mapped[Status] = mapped_column(EnumText(Status, Status.FAILED), info=_DELETED)
    attempt: Mapped[int] = mapped_column(Integer(), info=_DELETED)
    reserved: Mapped[int] = mapped_column(info=_DELETED)
    charged: Mapped[int] = mapped_column(info=_DELETED)
    recipe: Mapped[Recipe | None] = mapped_column(JsonOf(Recipe), info=_DELETED)
    error: Mapped[str | None] = mapped_column(String(60), info=_DELETED)
    judgement: Mapped[SafetyScores | None] = mapped_column(JsonOf(SafetyScores, UNREADABLE_JUDGEMENT), info=_DELETED)
    ended_at: Mapped[datetime | None] = mapped_column(info=_DELETED)
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

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, info=_DELETED)
    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True, info=_DELETED
    )


class LedgerRow(Base):
    """One posting: what it adds to (or takes from) a member's and their guild's balance in one window.

    Append-only: triggers refuse UPDATE and DELETE. That an image is reserved once and ends once is an index's word,
    not a caller's care.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        Index("uq_ledger_reserve", "image_id", unique=True, **_where("kind = 'reserve'")),
        Index("uq_ledger_end", "image_id", unique=True, **_where("kind IN ('settle', 'refund')")),
    )

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_KEPT)
    guild_id: Mapped[int] = mapped_column(info=_KEPT)
    member_key: Mapped[int] = mapped_column(info=_PSEUDONYM)
    window: Mapped[datetime] = mapped_column(info=_KEPT)
    kind: Mapped[str] = mapped_column(String(8), info=_KEPT)
    image_id: Mapped[str] = mapped_column(String(JOB_ID_LENGTH + 4), info=_PSEUDONYM)
    num_images: Mapped[int] = mapped_column(info=_KEPT)
    reserved: Mapped[int] = mapped_column(info=_KEPT)
    used: Mapped[int] = mapped_column(info=_KEPT)
    at: Mapped[datetime] = mapped_column(info=_KEPT)
    cost_version: Mapped[int | None] = mapped_column(Integer(), info=_KEPT)


class BalanceRow(Base):
    """The ledger's sums, for a quota check in a few rows. Member key 0 is the guild as a whole."""

    __tablename__ = "balances"
    __table_args__ = (Index(None, "member_key", "window"),)

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    member_key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_PSEUDONYM)
    window: Mapped[datetime] = mapped_column(primary_key=True, info=_KEPT)
    num_images: Mapped[int] = mapped_column(info=_KEPT)
    reserved: Mapped[int] = mapped_column(info=_KEPT)
    used: Mapped[int] = mapped_column(info=_KEPT)


class ReviewRow(Base):
    """A picture that safety kept back, blurred, for a guild's moderators; gone after `until`."""

    __tablename__ = "reviews"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, info=_DELETED)
    sha256: Mapped[str] = mapped_column(String(64), index=True, info=_DELETED)
    until: Mapped[datetime] = mapped_column(index=True, info=_DELETED)


class QuotaRow(Base):
    """An allowance. `subject` is 0 for the guild, a role id, or a member key."""

    __tablename__ = "quotas"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    scope: Mapped[Scope] = mapped_column(EnumText(Scope), primary_key=True, info=_KEPT)
    subject: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, index=True, info=_DELETED)
    unit: Mapped[Unit] = mapped_column(EnumText(Unit), primary_key=True, info=_KEPT)
    allowance: Mapped[int] = mapped_column(info=_KEPT)
    window_hours: Mapped[int | None] = mapped_column(Integer(), info=_KEPT)


class DeliveryRow(Base):
    """Where a job's answer goes. Its nonce is the job's id."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "job_id", **_where("state = 'due'")),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, info=_DELETED)
    application_id: Mapped[int] = mapped_column(info=_DELETED)
    channel_id: Mapped[int] = mapped_column(info=_DELETED)
    token: Mapped[str | None] = mapped_column(Text(), info=_DELETED)
    token_expires_at: Mapped[datetime | None] = mapped_column(info=_DELETED)
    message_id: Mapped[int | None] = mapped_column(info=_DELETED)
    locale: Mapped[str] = mapped_column(String(16), info=_DELETED)
    is_private: Mapped[bool] = mapped_column(info=_DELETED)
    state: Mapped[DeliveryState] = mapped_column(EnumText(DeliveryState, DeliveryState.KEPT), info=_DELETED)
    attempts: Mapped[int] = mapped_column(Integer(), info=_DELETED)
    last_error: Mapped[str | None] = mapped_column(String(200), info=_DELETED)


class FavouriteRow(Base):
    """A job that a member likes, their own or another's."""

    __tablename__ = "favourites"

    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, info=_DELETED
    )
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True, info=_DELETED
    )
    at: Mapped[datetime] = mapped_column(info=_DELETED)


class NotificationRow(Base):
    """A member who wants to be told when a job is done; gone once they were."""

    __tablename__ = "tellings"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, info=_DELETED)
    member_key: Mapped[int] = mapped_column(
        ForeignKey("members.key", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True, info=_DELETED
    )


class StyleRow(Base):
    """A named way of asking, of one guild."""

    __tablename__ = "styles"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    name: Mapped[str] = mapped_column(String(32), primary_key=True, info=_KEPT)
    prompt: Mapped[str] = mapped_column(Text(), info=_KEPT)
    negative: Mapped[str] = mapped_column(Text(), info=_KEPT)


class GuildSettingsRow(Base):
    __tablename__ = "guild_settings"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    weight: Mapped[float] = mapped_column(info=_KEPT)
    safety: Mapped[SafetyLevel] = mapped_column(EnumText(SafetyLevel, SafetyLevel.BLOCK), info=_KEPT)
    timezone: Mapped[str] = mapped_column(String(64), info=_KEPT)
    choices: Mapped[GuildPreferences] = mapped_column(
        JsonOf(GuildPreferences, GuildPreferences(), by_field=True), server_default="{}", info=_KEPT
    )


class ContentRuleRow(Base):
    """What a guild forbids in prompts."""

    __tablename__ = "content_rules"

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_KEPT)
    guild_id: Mapped[int] = mapped_column(index=True, info=_KEPT)
    rule: Mapped[Rule] = mapped_column(JsonOf(Rule, UNREADABLE_RULE), info=_KEPT)


class BlockRow(Base):
    """Who may ask for nothing in a guild. `who` is a keyed hash, so that erasing a member does not unblock them."""

    __tablename__ = "blocks"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    who: Mapped[str] = mapped_column(String(64), primary_key=True, info=_PSEUDONYM)
    until: Mapped[datetime] = mapped_column(info=_KEPT)


class ReportRow(Base):
    """A report about a job, until a moderator has looked at it; gone with either of them."""

    __tablename__ = "reports"
    __table_args__ = (Index(None, "job_id", "by"),)

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_DELETED)
    guild_id: Mapped[int] = mapped_column(index=True, info=_DELETED)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), info=_DELETED)
    by: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), index=True, info=_DELETED)
    at: Mapped[datetime] = mapped_column(info=_DELETED)
    reason: Mapped[str] = mapped_column(Text(), info=_DELETED)


class SecretRow(Base):
    """Random keys of this installation, made when first needed."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True, info=_KEPT)
    value: Mapped[str] = mapped_column(String(64), info=_KEPT)


class ChangeRow(Base):
    """The audit trail: who changed what in a guild. `by` is forgotten with the member, what changed is not."""

    __tablename__ = "changes"
    __table_args__ = (Index(None, "guild_id", "at"),)

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_KEPT)
    guild_id: Mapped[int] = mapped_column(info=_KEPT)
    by: Mapped[int | None] = mapped_column(ForeignKey("members.key", ondelete="SET NULL"), index=True, info=_PSEUDONYM)
    at: Mapped[datetime] = mapped_column(info=_KEPT)
    text: Mapped[str] = mapped_column(Text(), info=_KEPT)


class OperatorChoiceRow(Base):
    """A switch the operator has thrown, by name; one that is not here is off."""

    __tablename__ = "operator_choices"

    name: Mapped[str] = mapped_column(String(32), primary_key=True, info=_KEPT)


class GuildStandingRow(Base):
    """Whether the operator allows or denies a guild; it stays when the guild removes the bot."""

    __tablename__ = "guild_standings"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    standing: Mapped[AccessDecision] = mapped_column(EnumText(AccessDecision, AccessDecision.DENIED), info=_KEPT)


class RemovedGuildRow(Base):
    """A guild that removed the bot, and since when: what is kept of it is deleted after a grace."""

    __tablename__ = "departures"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    since: Mapped[datetime] = mapped_column(info=_KEPT)


class RefusalRow(Base):
    """A request that a content rule refused: of whom and when, not what it said; kept for 30 days."""

    __tablename__ = "refusals"
    __table_args__ = (Index(None, "guild_id", "at"),)

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_DELETED)
    guild_id: Mapped[int] = mapped_column(info=_DELETED)
    member_key: Mapped[int] = mapped_column(ForeignKey("members.key", ondelete="CASCADE"), index=True, info=_DELETED)
    at: Mapped[datetime] = mapped_column(index=True, info=_DELETED)


class RoleBoostRow(Base):
    """What the members of a role may claim inside their guild, relative to the others."""

    __tablename__ = "role_boosts"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    role_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    boost: Mapped[float] = mapped_column(info=_KEPT)


class CounterRow(Base):
    """The fair queue's virtual counter of a guild, kept so that a restart changes no one's share."""

    __tablename__ = "queue_counters"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=_KEPT)
    counter: Mapped[float] = mapped_column(info=_KEPT)


class ClockReadingRow(Base):
    """What the clock said after so many seconds of running, all runs together (see `db.running_time`)."""

    __tablename__ = "clock_readings"

    id: Mapped[int] = mapped_column(Integer(), primary_key=True, info=_KEPT)
    running_s: Mapped[float] = mapped_column(info=_KEPT)
    at: Mapped[datetime] = mapped_column(info=_KEPT)
