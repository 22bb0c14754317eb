"""Administration from the shell: weights, boosts, reconciliation, exports and backups.

The running bot owns the data folder, so these refuse while it runs; what was decided holds from its next start.
Stopping it costs no request its place.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from config import Settings
from db import backup, dump, moving
from db.address import describe as describe_database
from db.address import is_server
from db.admin.export import Part
from db.admin.personal import PersonalStore
from db.admin.reconcile import Difference, Reconciliation, reconcile
from db.engine import Database, parse_url
from db.file_permissions import FOLDER, create_private
from db.stores.settings import SettingsStore
from generation.clock import utc_now
from generation.policy.guild_settings import GuildSettings, RoleBoost
from generation.policy.quota import Usage

_MAX_EXPORT_BYTES = 2**34


@dataclass(frozen=True, slots=True)
class Restored:
    """A database that is now what a backup holds, and where the one before it is kept."""

    database: str
    kept: Path | None


async def set_weight(settings: Settings, guild_id: int, weight: float | None) -> GuildSettings:
    """Set a guild's weight, or with None only read it. Return its settings. Raise `InvalidRequestError`."""
    async with _opened(settings) as database:
        store = SettingsStore(database)
        if weight is None:
            return await store.fetch(guild_id)
        return await store.change(guild_id, lambda old: replace(old, weight=weight))


async def set_boost(settings: Settings, guild_id: int, role_id: int, factor: float) -> None:
    """Set what members of a role may claim inside their guild; 1 takes it away. Raise `InvalidRequestError`."""
    async with _opened(settings) as database:
        await SettingsStore(database).save_boost(RoleBoost(guild_id=guild_id, role_id=role_id, boost=factor))


async def reconcile_quotas(settings: Settings, *, repair: bool) -> Reconciliation:
    """Compare images, ledger and balances; with `repair`, put right what differs, by new postings only."""
    async with _opened(settings) as database:
        return await reconcile(database, repair=repair)


async def export(settings: Settings, user_id: int, folder: Path) -> list[Path]:
    """Write all that is kept of a person to files in `folder`. Return them. Raise `InvalidRequestError`."""
    async with _opened(settings) as database:
        parts = await PersonalStore(database, clock=utc_now).export(user_id, part_bytes=_MAX_EXPORT_BYTES)
    return [await asyncio.to_thread(_keep, part, folder) for part in parts]


def _keep(part: Part, folder: Path) -> Path:
    target = folder / part.name
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    create_private(target)
    with part.file, target.open("wb") as file:
        part.file.seek(0)
        shutil.copyfileobj(part.file, file)
    return target


def back_up(settings: Settings, target: Path) -> None:
    """Copy the database to a new file, also while it is in use. Blocks. Raise `ConfigurationError`."""
    url = parse_url(settings.url_of_database)
    (dump if is_server(url) else backup).backup(url, target)


def restore(settings: Settings, source: Path) -> Restored:
    """Put a backup in place. Blocks. Raise `ConfigurationError` while a bot runs, or if the backup is not sound."""
    url = parse_url(settings.url_of_database)
    if is_server(url):
        dump.restore(source, url, settings.data_dir)
        name = describe_database(url)
        return Restored(name[:1].upper() + name[1:], None)
    backup.restore(source, url, settings.data_dir)
    kept = backup.find_kept_beside(Path(str(url.database)))
    return Restored(str(url.database), kept if kept.exists() else None)


def move(settings: Settings, file: Path | None) -> moving.Moved:
    """Move a SQLite database to the server of the settings. Raise `ConfigurationError`."""
    return moving.move(file or settings.default_file, parse_url(settings.url_of_database), settings.data_dir)


def describe_move(settings: Settings, file: Path | None, moved: moving.Moved) -> str:
    target = describe_database(parse_url(settings.url_of_database))
    return (
        f"{moved.rows} rows of {moved.tables} tables are now in {target}, and are the same there. "
        f"{file or settings.default_file} is as it was."
    )


def list_facts(found: Reconciliation, *, repaired: bool) -> dict[str, Any]:
    """Return what was found, for a program to read."""
    named = [asdict(each) for each in (*found.postings, *found.balances)]
    return {"is_exact": found.is_exact, "number": found.number, "is_repaired": repaired, "differences": named}


def describe(found: Reconciliation, *, repaired: bool) -> Iterator[str]:
    """Yield what was found, a line each, and the conclusion."""
    for each in (*found.postings, *found.balances):
        yield _finding(each)
    if more := found.number - len(found.postings) - len(found.balances):
        yield f"... and {more} more."
    if found.is_exact:
        yield "The books are exact: every image, posting and balance agrees."
    else:
        done = "put right by new postings" if repaired else "found; --repair puts them right"
        yield f"{found.number} differences {done}."


def _finding(difference: Difference) -> str:
    return f"{difference.subject}: should be {_sum(difference.expected)}, was {_sum(difference.found)}"


def _sum(usage: Usage) -> str:
    return f"{usage.num_images} images, {usage.reserved} reserved, {usage.used} used"


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    async with await Database.open(settings.url_of_database, settings.data_dir) as database:
        yield database
