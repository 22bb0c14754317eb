"""Values that check themselves when they are new, but not when read back from storage.

A stored value was checked by the rules of the day it was made. Today's rules may differ (another Python knows other
characters, a release drops a sampler, a machine lacks a time zone), and what already exists must stay readable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import wraps
from types import NoneType
from typing import Any, TypeVar

from msgspec import UnsetType

T = TypeVar("T")
_SIMPLE = (str, int, float, NoneType, UnsetType)
_is_reading: ContextVar[bool] = ContextVar("is_reading", default=False)


def checked(kind: type[T]) -> type[T]:
    """Decorate a dataclass whose `__post_init__` holds its checks: they do not run inside `stored`."""
    check_one: Any = kind.__post_init__  # type: ignore[attr-defined]

    @wraps(check_one)
    def unless_stored(self: T) -> None:
        if not _is_reading.get():
            check_one(self)

    kind.__post_init__ = unless_stored  # type: ignore[attr-defined]
    return kind


@contextmanager
def stored() -> Iterator[None]:
    """Take the values built inside as they are. Only for reading what was checked when it was written."""
    token = _is_reading.set(True)
    try:
        yield
    finally:
        _is_reading.reset(token)


def check(value: object) -> None:
    """Run today's checks of a value and of every value in it. Raise what they raise."""
    parts = [getattr(value, field.name) for field in fields(value)] if is_dataclass(value) else value
    for part in parts if isinstance(parts, list | tuple) else ():
        if isinstance(part, _SIMPLE):  # nearly all are, and this is quick
            continue
        if is_dataclass(part) or (part and isinstance(part, tuple)):
            check(part)
    getattr(value, "__post_init__", lambda: None)()
