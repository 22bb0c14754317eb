"""Keys of the API for its operator, made at the shell: before it runs, for then it alone owns the data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.api import LOCAL
from config import Settings
from db.engine import Database
from db.stores.api_keys import ApiKeyStore
from generation.clock import utc_now


async def create(settings: Settings, name: str) -> list[str]:
    """Make a key. Return what to print: it is shown once. Raise `InvalidRequestError`."""
    async with _opened(settings) as keys:
        return [await keys.create(LOCAL, name)]


async def list_all(settings: Settings) -> list[str]:
    """Return a line for each key that has not ended."""
    async with _opened(settings) as keys:
        live = await keys.fetch_live(LOCAL)
    lines = [
        f"{each.name}: made {each.created_at:%Y-%m-%d}, "
        + (f"last used {each.used_at:%Y-%m-%d %H:%M} UTC" if each.used_at is not None else "never used")
        for each in live
    ]
    return lines or ["There are no keys."]


async def revoke(settings: Settings, name: str) -> list[str]:
    """End a key. Raise `UnknownKeyError`."""
    async with _opened(settings) as keys:
        await keys.revoke(LOCAL, name)
    return [f"{name} opens nothing any more."]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[ApiKeyStore]:
    async with await Database.open(settings.url_of_database, settings.data_dir) as database:
        yield ApiKeyStore(database, clock=utc_now)
