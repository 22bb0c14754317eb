"""What every table is made of: the base of the models, what becomes of a column at an erasure, names of constraints."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Float, Integer, MetaData, Table, text
from sqlalchemy.orm import DeclarativeBase

from db.column_types import OnErase, UtcDateTime

# Names for every constraint: without them a later migration could not drop one.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
"""Of rows that the database numbers: 64 bits in either, and SQLite numbers no other column by itself."""

DELETED: dict[str, Any] = {"on_erase": OnErase.DELETED}
PSEUDONYM: dict[str, Any] = {"on_erase": OnErase.PSEUDONYM}
KEPT: dict[str, Any] = {"on_erase": OnErase.KEPT}


def where(condition: str) -> dict[str, Any]:
    """Return the condition of a partial index, for either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime(), int: BigInteger(), float: Float()}


def table(row: type[Base]) -> Table:
    """Return the table of a model, for statements on the busiest paths: they cost a tenth of mapped ones."""
    assert isinstance(row.__table__, Table)
    return row.__table__
