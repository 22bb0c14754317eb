"""Column types that keep out what would go wrong quietly, and the word each column has for erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import DateTime, Dialect, Enum, Text
from sqlalchemy.types import TypeDecorator

V = TypeVar("V")


class OnErase(StrEnum):
    """What becomes of a column's values when the member they came from is erased."""

    DELETED = "deleted"  # the row goes with the member
    PSEUDONYM = "pseudonym"  # stays, as a random key that no longer leads to anyone
    KEPT = "kept"  # stays: it says nothing about a person


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored and returned as aware UTC. Refuses a time without a zone (`ValueError`)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value!r}")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonOf(TypeDecorator[Any]):
    """One of our frozen values as JSON text, checked again when read (`msgspec.ValidationError`)."""

    impl = Text
    cache_ok = True

    def __init__(self, value_type: type) -> None:
        super().__init__()
        self.value_type = value_type

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else write_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else read_json(value, self.value_type)


def write_json(value: object) -> str:
    """The same text for the same value."""
    return msgspec.json.encode(value, order="sorted").decode()


def read_json(text: str, value_type: type[V]) -> V:
    """Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(text, type=value_type)


def enum_text(enum_type: type[StrEnum]) -> Enum:
    """An enumeration as its own words in a text column: readable in any client, and no database type to migrate."""
    return Enum(enum_type, native_enum=False, length=16, values_callable=lambda members: [m.value for m in members])
