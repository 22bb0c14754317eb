"""Keys are made and ended beside the bot that owns the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from db.beside import open_beside
from db.engine import Database
from db.stores.api_keys import ApiKeyStore
from generation.clock import utc_now
from generation.errors import ConfigurationError
from generation.owner import Owner
from tests.db.kinds import on_both, on_both_long

OPERATOR = Owner(0, 0)


def keys_of(database: Database) -> ApiKeyStore:
    return ApiKeyStore(database, clock=utc_now)


@on_both
async def test_a_key_made_beside_the_owner_holds_until_it_is_revoked(
    url: str, database: Database, tmp_path: Path
) -> None:
    owned = keys_of(database)
    async with await Database.open(url, tmp_path, how=open_beside) as beside:
        key = await keys_of(beside).create(OPERATOR, "laptop")
        assert await owned.find(key) is not None
        assert [each.name for each in await keys_of(beside).fetch_live(OPERATOR)] == ["laptop"]
        await keys_of(beside).revoke(OPERATOR, "laptop")
        assert await owned.find(key) is None
    theirs = await owned.create(OPERATOR, "the owner goes on writing")
    assert await owned.find(theirs) is not None


@on_both_long
async def test_both_write_at_once_and_nothing_is_lost(url: str, database: Database, tmp_path: Path) -> None:
    async with await Database.open(url, tmp_path, how=open_beside) as beside:
        stores = [keys_of(database), keys_of(beside)]
        made = [stores[number % 2].create(Owner(number, 1), "one") for number in range(40)]
        assert len({*await asyncio.gather(*made)}) == 40
    assert await database.read(lambda session: session.scalar(text("SELECT count(*) FROM api_keys"))) == 40


@on_both_long
async def test_another_version_is_left_alone(url: str, database: Database, tmp_path: Path) -> None:
    await database.write(lambda session: session.execute(text("UPDATE alembic_version SET version_num = '0020'")))
    with pytest.raises(ConfigurationError, match=r"another version of Atelier \(its schema is 0020"):
        await Database.open(url, tmp_path, how=open_beside)
