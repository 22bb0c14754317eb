"""Look through a database for stored values that this release cannot use, and name their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Table
from sqlalchemy.engine import URL

from db.column_types import EnumText, JsonOf, UtcDateTime, read_stored
from db.integrity import Ask
from db.models import Base, ContentRuleRow, GuildSettingsRow, ImageRow, RoleBoostRow, table
from db.readonly import ask as read
from generation.policy.guild_settings import check_claim, zone
from generation.validation import check

_ALIVE = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class Unusable:
    """One stored value that is set aside: where it is, and what is wrong with it."""

    row: str
    problem: str


def find_unusable(url: URL) -> list[Unusable]:
    """Return every stored value that cannot be read, and those still needed that fail today's checks.

    Blocks. A bot may be using the database; nothing is changed. Raise `ConfigurationError` if the file is damaged.
    """
    return read(url, _find)


def _find(ask: Ask) -> list[Unusable]:
    return [each for one in Base.metadata.sorted_tables for each in _of_table(ask, one)]


def _of_table(ask: Ask, one: Table) -> Iterator[Unusable]:
    looked_at = [column for column in one.columns if _is_read(column)]
    if not looked_at:
        return
    keys = [column.name for column in one.primary_key]
    names = [*keys, *(column.name for column in looked_at)]
    quoted = ", ".join(f'"{name}"' for name in names)
    for row in ask(f"SELECT {quoted} FROM {one.name}"):
        values = dict(zip(names, row, strict=True))
        for column in looked_at:
            if (problem := _problem(column, values)) is not None:
                key = " ".join(str(values[name]) for name in keys)
                yield Unusable(f"{one.name} {key}", f"{column.name}: {problem}")


def _is_read(column: Column[Any]) -> bool:
    """Whether reading a value of this column can fail."""
    return isinstance(column.type, JsonOf | EnumText | UtcDateTime) or any(column is each for each in (*_CLAIMS, _ZONE))


def _problem(column: Column[Any], row: dict[str, Any]) -> str | None:
    value = row[column.name]
    try:
        if value is not None:
            _require_usable(column, value, is_alive=row.get("status") in _ALIVE)
    except Exception as error:  # whatever `db.column_types` survives is named here
        return f"{type(error).__name__}: {error}"[:200]
    return None


def _require_usable(column: Column[Any], value: Any, *, is_alive: bool) -> None:
    match column.type:
        case JsonOf(value_type=kind, by_field=True):
            msgspec.json.decode(value, type=kind)
        case JsonOf(value_type=kind):
            found: Any = read_stored(value, kind)
            if column is _RULE or (is_alive and column is _SPEC):
                check(found)
        case EnumText(enum_type=kind):
            kind(value)
        case UtcDateTime():
            datetime.fromisoformat(str(value))  # a server knows it for a time
        case _ if column is _ZONE:
            zone(value)
        case _ if check_claim(value) != value:
            raise ValueError(f"{value!r} is no weight")


_ZONE = table(GuildSettingsRow).c.timezone
_CLAIMS = (table(GuildSettingsRow).c.weight, table(RoleBoostRow).c.boost)
_RULE, _SPEC = table(ContentRuleRow).c.rule, table(ImageRow).c.spec
