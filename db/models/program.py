"""What the program keeps for itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import KEPT, ROW_ID, Base


class SecretRow(Base):
    """Random keys of this installation, made when first needed."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True, info=KEPT)
    value: Mapped[str] = mapped_column(String(64), info=KEPT)


class OperatorChoiceRow(Base):
    """A switch the operator has thrown, by name; one that is not here is off."""

    __tablename__ = "operator_choices"

    name: Mapped[str] = mapped_column(String(32), primary_key=True, info=KEPT)


class CounterRow(Base):
    """The fair queue's virtual counter of a guild, kept so that a restart changes no one's share."""

    __tablename__ = "queue_counters"

    guild_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=KEPT)
    counter: Mapped[float] = mapped_column(info=KEPT)


class ClockReadingRow(Base):
    """What the clock said after so many seconds of running, all runs together (see `db.running_time`)."""

    __tablename__ = "clock_readings"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, info=KEPT)
    running_s: Mapped[float] = mapped_column(info=KEPT)
    at: Mapped[datetime] = mapped_column(info=KEPT)


class FleetEpochRow(Base):
    """How many bots have had this database, or the time when the last began: one row. See `db.stores.fleet`."""

    __tablename__ = "fleet_epoch"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=False, info=KEPT)
    epoch: Mapped[int] = mapped_column(info=KEPT)
