"""What a guild has chosen, and what the operator decided about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from db.column_types import EnumText, JsonOf, PlainText
from db.models.base import KEPT, ROW_ID, Base
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.rules.rule import UNREADABLE_RULE, Rule
from generation.safety.visibility import SafetyLevel


class StyleRow(Base):
    """A named way of asking, of one guild."""

    __tablename__ = "styles"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    name: Mapped[str] = mapped_column(PlainText(32), primary_key=True, info=KEPT)
    prompt: Mapped[str] = mapped_column(PlainText(), info=KEPT)
    negative: Mapped[str] = mapped_column(PlainText(), info=KEPT)


class GuildSettingsRow(Base):
    __tablename__ = "guild_settings"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    weight: Mapped[float] = mapped_column(info=KEPT)
    safety: Mapped[SafetyLevel] = mapped_column(EnumText(SafetyLevel, SafetyLevel.BLOCK), info=KEPT)
    timezone: Mapped[str] = mapped_column(PlainText(64), info=KEPT)
    choices: Mapped[GuildPreferences] = mapped_column(
        JsonOf(GuildPreferences, GuildPreferences(), by_field=True), server_default="{}", info=KEPT
    )


class RoleBoostRow(Base):
    """What the members of a role may claim inside their guild, relative to the others."""

    __tablename__ = "role_boosts"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    role_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    boost: Mapped[float] = mapped_column(info=KEPT)


class ContentRuleRow(Base):
    """What a guild forbids in prompts."""

    __tablename__ = "content_rules"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    guild_id: Mapped[int] = mapped_column(index=True, info=KEPT)
    rule: Mapped[Rule] = mapped_column(JsonOf(Rule, UNREADABLE_RULE), info=KEPT)


class GuildStandingRow(Base):
    """Whether the operator allows or denies a guild; it stays when the guild removes the bot."""

    __tablename__ = "guild_standings"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    standing: Mapped[AccessDecision] = mapped_column(EnumText(AccessDecision, AccessDecision.DENIED), info=KEPT)


class RemovedGuildRow(Base):
    """A guild that removed the bot, and since when: what is kept of it is deleted after a grace."""

    __tablename__ = "departures"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    since: Mapped[datetime] = mapped_column(info=KEPT)
