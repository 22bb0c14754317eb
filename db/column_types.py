"""Column types that keep out what would go wrong quietly, and the word each column has for erasure.

Writing is strict. Reading is not: one value that this release cannot read must not stop a start, a listing or the
erasure of others. Such a value reads as a stand-in that each column declares, and is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import DateTime, Dialect, String, Text
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator

from generation.errors import InvalidRequestError
from generation.validation import stored

log = logging.getLogger(__name__)
V = TypeVar("V")
NUL, _ESCAPED_NUL = "\0", r"\u0000"
UNREADABLE_TIME = datetime(3000, 1, 1, tzinfo=UTC)
"""Stands for a stored time that cannot be read. It is far ahead, so nothing is over: no block ends, nothing expires."""


class OnErase(StrEnum):
    """What becomes of a column's values when the member they came from is erased."""

    DELETED = "deleted"  # the row goes with the member
    PSEUDONYM = "pseudonym"  # stays, as a random key that no longer leads to anyone
    KEPT = "kept"  # stays: it says nothing about a person


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored and returned as aware UTC. Refuses a time without a zone (`ValueError`).

    Text that is no time reads as `UNREADABLE_TIME`.
    """

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

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        read: Any = super().result_processor(dialect, coltype)

        def process(value: Any) -> datetime | None:
            try:
                return read(value)  # type: ignore[no-any-return]
            except (ValueError, TypeError) as error:
                say_unreadable(datetime, error)
                return UNREADABLE_TIME

        return process


class NulTextError(InvalidRequestError, DontWrapMixin):
    """The text holds a NUL character. Remove it."""


def require_no_nul(text: str) -> str:
    """Return the text. Raise `NulTextError` if it holds a NUL: PostgreSQL stores none, so SQLite is given none."""
    if NUL in text:
        raise NulTextError
    return text


class PlainText(TypeDecorator[str]):
    """Text that people write."""

    impl: Any = Text
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length
        self.impl = String(length) if length else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else require_no_nul(value)


class JsonOf(TypeDecorator[Any]):
    """One of our frozen values as JSON text.

    What is read is not checked again as if it were new (`generation.validation`). Text that is no such value reads as
    `unreadable`; with `by_field` the checks hold, and only the fields that do not pass have their defaults.
    """

    impl = Text
    cache_ok = True

    def __init__(self, value_type: type, unreadable: Any = None, *, by_field: bool = False) -> None:
        super().__init__()
        self.value_type = value_type
        self._unreadable = unreadable
        self.by_field = by_field
        self._read: Callable[[str, type], Any] = read_fields if by_field else read_stored

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _without_nul(write_json(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        try:
            return self._read(value, self.value_type)
        except Exception as error:  # whatever is wrong with it is wrong with this row alone
            say_unreadable(self.value_type, error)
            return self._unreadable


class EnumText(TypeDecorator[Any]):
    """An enumeration as its own words in a text column: readable in any client, and no database type to migrate.

    A word that this release does not know reads as `unknown`.
    """

    impl = String
    cache_ok = True

    def __init__(self, enum_type: type[StrEnum], unknown: StrEnum | None = None) -> None:
        super().__init__(length=16)
        self.enum_type = enum_type
        self._unknown = unknown

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else self.enum_type(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        try:
            return None if value is None else self.enum_type(value)
        except ValueError as error:
            say_unreadable(self.enum_type, error)
            return self._unknown


def write_json(value: object) -> str:
    """Return the value as JSON, the same text for the same value."""
    return msgspec.json.encode(value, order="sorted").decode()


def _without_nul(text: str) -> str:
    if _ESCAPED_NUL in text and _ESCAPED_NUL in text.replace(r"\\", ""):  # a backslash of the text is two
        raise NulTextError
    return text


def read_stored(text: str, value_type: type[V]) -> V:
    """Return the value that `write_json` wrote, unchecked. Raise `msgspec.DecodeError` if it has another shape."""
    with stored():
        return msgspec.json.decode(text, type=value_type)


def read_fields(text: str, value_type: type[V]) -> V:
    """Return the value with those of its fields that pass their checks, and defaults for the others."""
    try:
        return msgspec.json.decode(text, type=value_type)
    except Exception as error:
        say_unreadable(value_type, error)
    good: dict[str, Any] = {}
    for name, value in msgspec.json.decode(text, type=dict[str, Any]).items():
        try:
            msgspec.convert(good | {name: value}, type=value_type)
            good[name] = value
        except Exception as error:
            say_unreadable(value_type, error)
    return msgspec.convert(good, type=value_type)


@lru_cache(maxsize=1000)
def _say_once(kind: str, error: str) -> None:
    log.warning("action=stored-value-unreadable kind=%s error=%s", kind, error)


def say_unreadable(kind: type, error: Exception) -> None:
    """Log it, once for each fault. `bot.py doctor` names the rows."""
    _say_once(kind.__name__, f"{type(error).__name__}: {error}"[:200])
