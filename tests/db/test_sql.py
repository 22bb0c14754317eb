"""What SQL says differently on both databases gives the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Text, cast, select

from db.engine import Database
from db.sql import HasOtherThanAscii, JsonOrString, JsonText
from tests.db.kinds import on_both


async def answer(database: Database, of: Callable[..., ColumnElement[Any]], value: str, *path: str) -> object:
    return await database.read(lambda session: session.scalar(select(of(cast(value, Text), *path))))


@on_both
@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("[]", "[]"),
        ("null", "null"),
        ('"x"', '"x"'),
        ("12", "12"),
        ("", '""'),
        ("{not json", '"{not json"'),
        ("1],[2", '"1],[2"'),
    ],
)
async def test_json_is_read_as_it_stands_and_what_is_damaged_as_a_string(
    database: Database, stored: str, read: str
) -> None:
    assert await answer(database, JsonOrString, stored) == read


@on_both
@pytest.mark.parametrize(
    ("stored", "read"),
    [('{"a": {"b": "x"}}', "x"), ('{"a": {"b": 3}}', "3"), ('{"a": 1}', None), ("[]", None), ("{not json", None)],
)
async def test_a_value_inside_json_is_read_by_its_path(database: Database, stored: str, read: str | None) -> None:
    assert await answer(database, JsonText, stored, "a", "b") == read


@on_both
@pytest.mark.parametrize(("text", "has"), [("", False), ("a lighthouse", False), ("ein Löwe", True), ("灯台", True)])
async def test_characters_beyond_ascii_are_found(database: Database, text: str, *, has: bool) -> None:
    assert bool(await answer(database, HasOtherThanAscii, text)) is has
