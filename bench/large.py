"""`large`: measures what grows with the database, on a large one: processor time, memory, and how long others wait.

    python -m bench large [--json] [--images 100000] [--only erase_member books ...]

Every row is a process of its own; one that writes has a copy of its own. Keys: `images`, `build_s`, and for each piece
of work those of `bench._large.Cost`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench._large import GUILD, USER, Cost, build, measure, name_of
from db import backup
from db.admin.personal import PersonalStore
from db.admin.reconcile import reconcile
from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.running_time import CONFIRMED_BY
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.shares import ShareStore
from db.stores.usage import UsageStore
from generation.images.cleanup import tidy
from generation.images.store import ImageFiles
from generation.jobs.history import HistoryFilter
from generation.owner import Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.usage import list_last_days

_NUM_FILES = 20_000
_OWNER = Owner(GUILD, USER)
_LIMIT = 10 * 2**20


def _now() -> datetime:
    return datetime.now(UTC)


async def _erase_member(database: Database) -> None:
    async for _ in PersonalStore(database, clock=_now).erase(USER):
        pass


async def _erase_server(database: Database) -> None:
    removed_guilds = RemovedGuildStore(database, clock=_now, grace=timedelta(0))
    await removed_guilds.mark_removed(GUILD)
    async for _ in removed_guilds.erase(GUILD):
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
    await tidy(RetentionStore(database), ImageFiles(Path(str(database.url.database)).parent / "pictures"))


async def _backup(database: Database) -> None:
    file = Path(str(database.url.database))
    await asyncio.to_thread(backup.backup, database.url, file.with_name("copy.db"))
    await asyncio.to_thread(file.with_name("copy.db").unlink)


WORK: dict[str, Callable[[Database], Awaitable[object]]] = {
    "erase_member": _erase_member,
    "erase_server": _erase_server,
    "export_member": _export_member,
    "purge_member": _purge_member,
    "tidy": _tidy,
    "books": reconcile,
    "start": lambda database: JobStore(database).fetch_unfinished(),
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
    "charts": lambda database: UsageStore(database).fetch_days_of_all(list_last_days(30, _now(), zone=ZoneInfo("UTC"))),
    "backup": _backup,
}


_WRITES = {"erase_member", "erase_server", "purge_member", "tidy"}
"""These have a copy of their own; the others only add the requests that are accepted beside them."""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    if options.folder is not None:
        print(json.dumps(asdict(asyncio.run(measure(options.folder, WORK[options.only[0]])))))
        return 0
    report: dict[str, Any] = {"images": options.images}
    with tempfile.TemporaryDirectory(prefix="atelier-large-") as folder:
        original = Path(folder) / "original"
        began = time.perf_counter()
        asyncio.run(build(original, options.images))
        report["build_s"] = round(time.perf_counter() - began, 1)
        for name in options.only:
            cost = _one(name, original, Path(folder) / "copy", num_images=options.images)
            report[name] = {key: round(value, 2) for key, value in asdict(cost).items()}
            if not options.json:
                print(f"{name:16} {cost}", flush=True)
    print(json.dumps(report))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench large")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--folder", type=Path, help="measure one in this process, on what lies there")
    return parser.parse_args(argv)


def _one(name: str, original: Path, copy: Path, *, num_images: int) -> Cost:
    folder = copy if name in _WRITES else original
    if name in _WRITES:
        shutil.copytree(original, copy)
    try:
        if name == "tidy":
            _lay_files(copy / "pictures", num_images)
        command = [sys.executable, "-m", "bench", "large", "--only", name, "--folder", str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return Cost(**json.loads(done.stdout.splitlines()[-1]))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _lay_files(folder: Path, num_images: int) -> None:
    """Write files: half of them of the oldest pictures, half of the newest."""
    half = min(num_images, _NUM_FILES) // 2
    for number in (*range(1, half + 1), *range(num_images - half + 1, num_images + 1)):
        name = name_of(number)
        path = folder / name[:2] / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
