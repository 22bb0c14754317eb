"""Keys of the API for its operator, made at the shell: also beside a running bot, which looks keys up at every use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cli.api import LOCAL
from config import Settings
from db.beside import open_beside
from db.engine import Database
from db.lock import FolderInUseError
from db.stores.api_keys import ApiKey, ApiKeyStore
from generation.clock import utc_now


async def create(settings: Settings, name: str) -> str:
    """Make a key and return it: it is shown once. Raise `InvalidRequestError`."""
    async with _opened(settings) as keys:
        return await keys.create(LOCAL, name)


async def list_all(settings: Settings) -> Sequence[ApiKey]:
    """Return the keys that have not ended."""
    async with _opened(settings) as keys:
        return await keys.fetch_live(LOCAL)


def describe(key: ApiKey) -> str:
    used = f"last used {key.used_at:%Y-%m-%d %H:%M} UTC" if key.used_at is not None else "never used"
    return f"{key.name}: made {key.created_at:%Y-%m-%d}, {used}"


def list_facts(key: ApiKey) -> dict[str, str | None]:
    """Return what a program reads of a key."""
    used = key.used_at.isoformat() if key.used_at is not None else None
    return {"name": key.name, "created_at": key.created_at.isoformat(), "used_at": used}


async def revoke(settings: Settings, name: str) -> None:
    """End a key. Raise `UnknownKeyError`."""
    async with _opened(settings) as keys:
        await keys.revoke(LOCAL, name)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[ApiKeyStore]:
    where = (settings.url_of_database, settings.data_dir)
    try:
        database = await Database.open(*where)
    except FolderInUseError:
        database = await Database.open(*where, how=open_beside)
    async with database:
        yield ApiKeyStore(database, clock=utc_now)
