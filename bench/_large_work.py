"""What `bench large` measures: the work that grows with the database, and what each may cost at a million images."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bench._large_rows import GUILD, OTHER_GUILD, USER
from db import backup, dump
from db.address import file_of
from db.admin.personal import PersonalStore
from db.admin.reconcile import reconcile
from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.running_time import CONFIRMED_BY
from db.stores.deliveries import DeliveryStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.shares import ShareStore
from db.stores.usage import UsageStore
from generation.images.cleanup import sweep, tidy
from generation.images.store import ImageFiles
from generation.jobs.history import HistoryFilter
from generation.owner import Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.usage import list_last_days

_OWNER = Owner(GUILD, USER)
_LIMIT = 10 * 2**20


def _now() -> datetime:
    return datetime.now(UTC)


async def _erase_member(database: Database) -> None:
    async for _ in PersonalStore(database, clock=_now).erase(USER):
        pass


async def _erase_small_member(database: Database) -> None:
    async for _ in PersonalStore(database, clock=_now).erase(USER + 2):
        pass


async def _erase_server(database: Database) -> None:
    """Erase the smaller one, a tenth of all."""
    removed_guilds = RemovedGuildStore(database, clock=_now, grace=timedelta(0))
    await removed_guilds.mark_removed(OTHER_GUILD)
    async for _ in removed_guilds.erase(OTHER_GUILD):
        pass


async def _export_member(database: Database) -> None:
    for part in await PersonalStore(database, clock=_now).export(USER, part_bytes=_LIMIT):
        part.file.close()


async def _purge_member(database: Database) -> None:
    async for _ in ModerationStore(database, clock=_now).purge(GUILD, USER, by=USER, said=str):
        pass


async def _tidy(database: Database) -> None:
    """Clean up: half of the files on disk are expired, by a clock that a day of running has confirmed."""
    await database.confirmed_now(_now)
    monotonic = database.running.monotonic
    database.running.monotonic = lambda: monotonic() + CONFIRMED_BY.total_seconds()
    settings = GuildSettings(guild_id=GUILD, choices=GuildPreferences(retention_days=7))
    await SettingsStore(database).change(GUILD, lambda _old: settings)
    await tidy(RetentionStore(database), _files(database))


async def _sweep(database: Database) -> None:
    """Look for strays among the files on disk, of which all are named."""
    await sweep(RetentionStore(database), _files(database), now=_now() + timedelta(hours=2))


def _files(database: Database) -> ImageFiles:
    return ImageFiles(database.backend.scratch / "pictures")


async def _drop_uploads(database: Database) -> None:
    async for _ in RetentionStore(database).drop_uploads(now=_now()):
        pass


async def _backup(database: Database) -> None:
    target = database.backend.scratch / "copy"
    await asyncio.to_thread((backup if file_of(database.url) else dump).backup, database.url, target)
    await asyncio.to_thread(target.unlink)


async def _upgrade(database: Database) -> None:
    """Do nothing more: `open_s` is what it costs, with the copy that is made before."""


WORK: dict[str, Callable[[Database], Awaitable[object]]] = {
    "erase_member": _erase_member,
    "erase_small_member": _erase_small_member,
    "erase_server": _erase_server,
    "export_member": _export_member,
    "purge_member": _purge_member,
    "tidy": _tidy,
    "sweep": _sweep,
    "uploads": _drop_uploads,
    "books": reconcile,
    "start": lambda database: JobStore(database).fetch_unfinished(),
    "due": lambda database: DeliveryStore(database).fetch_due(),
    "history": lambda database: HistoryStore(database).fetch_page(_OWNER, HistoryFilter(), limit=10),
    "history_deep": lambda database: HistoryStore(database).fetch_page(
        _OWNER, HistoryFilter(), limit=10, before=_now() - timedelta(days=30)
    ),
    "search_history": lambda database: HistoryStore(database).fetch_page(_OWNER, HistoryFilter(words="zzz"), limit=10),
    "favourites": lambda database: HistoryStore(database).fetch_page(_OWNER, HistoryFilter(favourites=True), limit=10),
    "last_in_channel": lambda database: HistoryStore(database).fetch_last(_OWNER, 3),
    "guilds_of_member": lambda database: HistoryStore(database).fetch_guilds(USER),
    "count_member": lambda database: PersonalStore(database, clock=_now).count(USER),
    "reviews": lambda database: ReviewStore(database, clock=_now).fetch_reviews(GUILD),
    "shared_files": lambda database: ShareStore(database).fetch_files(),
    "usage": lambda database: UsageStore(database).fetch_members(GUILD, since=_now() - timedelta(days=30)),
    "usage_of_ever": lambda database: UsageStore(database).fetch_members(GUILD, since=_now() - timedelta(days=3650)),
    "usage_of_servers": lambda database: UsageStore(database).fetch_guilds(since=_now() - timedelta(days=30)),
    "charts": lambda database: UsageStore(database).fetch_days_of_all(list_last_days(30, _now(), zone=ZoneInfo("UTC"))),
    "backup": _backup,
    "upgrade": _upgrade,
}


WRITES = {"erase_member", "erase_small_member", "erase_server", "purge_member", "tidy", "uploads", "upgrade"}
"""These have a copy of their own; the others only add the requests that are accepted beside them."""
WITH_FILES = {"tidy", "sweep"}
_LONGEST_WRITE_CPU_MS = 100.0
"""With the first use of each statement, which is half of it in a fresh process."""
_PROCESSOR_S = {
    "tidy": 4.0,
    "sweep": 4.0,
    "start": 2.0,
    "history": 0.2,
    "history_deep": 0.2,
    "search_history": 1.0,
    "favourites": 0.2,
    "last_in_channel": 0.2,
    "guilds_of_member": 0.2,
    "count_member": 1.0,
    "reviews": 0.2,
    "shared_files": 0.2,
    "due": 0.2,
    "usage": 0.2,
    "usage_of_ever": 3.0,
    "usage_of_servers": 0.5,
    "charts": 0.5,
}


def bounds_of(name: str) -> dict[str, float]:
    """Return what a piece of work may cost at most, by the names of `bench._large.Cost`: processor time, which other
    programs change little. What goes through all of a member or a server has no bound but that of its longest
    write."""
    bounds = {"longest_write_cpu_ms": _LONGEST_WRITE_CPU_MS}
    return bounds | ({"processor_s": _PROCESSOR_S[name]} if name in _PROCESSOR_S else {})
