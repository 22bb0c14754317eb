"""Removes expired pictures once an hour, and a few times a day files without any reference.

Such strays are left by an owner who was erased while a picture was being put on disk, and by a crash between putting a
file and naming it, or between letting go of a file and removing it. Where much was put within hours, the sweep comes
sooner, and looks at what was put since the last one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from generation.clock import utc_now
from generation.images.store import PARTS, ImageFiles
from generation.retry import Problems, Task, num_stuck, run_periodically
from generation.translatable import Phrase

log = logging.getLogger(__name__)
EVERY_S = 3600.0
FIRST_SWEEP_S, SWEEP_EVERY_S = 600.0, 6 * 3600.0
UNTOUCHED = timedelta(hours=1)
"""Far longer than between a file and the row that names it: Discord gives up on a request after 15 minutes."""
PRESSED_BYTES = 1 << 30
"""So much newly put is swept at once, without waiting for the hour."""
PRESSED_UNTOUCHED = timedelta(minutes=20)
"""Still longer than Discord waits for a request."""
LOOK_EVERY_S = 60.0
RETRY_S = 600.0
"""What fails is tried again after so long at the most, or sooner."""
_AT_ONCE = 300
_NOT_TIDIED = Phrase("Pictures whose time is over cannot be removed; that is tried again. The log says why.")
_NOT_SWEPT = Phrase("Files that nothing names cannot be looked for; that is tried again. The log says why.")


class Limits(Protocol):
    """How long finished pictures stay."""

    async def fetch_confirmed_now(self) -> datetime:
        """Return a time that has certainly passed, even while the machine's clock is wrong."""

    async def has_limits(self) -> bool:
        """Return whether anything can expire."""

    async def fetch_expired(self, files: Collection[str], *, now: datetime) -> Collection[str]:
        """Return those of these files (SHA-256) that have expired."""

    def drop_uploads(self, *, now: datetime) -> AsyncIterator[Collection[str]]:
        """Forget the uploads whose pictures have expired; return the unused files (SHA-256), part by part."""


class FileReferences(Protocol):
    """What is known of the files."""

    async def fetch_confirmed_now(self) -> datetime:
        """Return a time that has certainly passed, even while the machine's clock is wrong."""

    async def fetch_watched_since(self) -> datetime | None:
        """Return when the oldest file was put whose references are known; None if there is none."""

    async def fetch_strays(self, files: Collection[str]) -> Collection[str]:
        """Return those of these files (SHA-256) without any reference."""


async def keep_tidy(
    limits: Limits, files: ImageFiles, problems: Problems | None = None, *, every_s: float = EVERY_S
) -> None:
    """Remove the files whose time is over, now and every so often, until cancelled."""

    async def once() -> None:
        log.info("action=tidied files=%s", await tidy(limits, files))

    retry_s = min(every_s, RETRY_S)
    await run_periodically(every_s, Task("tidying", _NOT_TIDIED, retry_s / 10, retry_s), once, problems or Problems())


async def tidy(limits: Limits, files: ImageFiles) -> int:
    """Remove expired files from disk, a few at a time, and expired uploads; return how many."""
    num_removed, now = 0, await limits.fetch_confirmed_now()
    for part in PARTS if await limits.has_limits() else ():
        names = await asyncio.to_thread(files.names, part)
        for first in range(0, len(names), _AT_ONCE):
            over = await limits.fetch_expired(names[first : first + _AT_ONCE], now=now)
            num_removed += await remove_files(files, over)
    async for gone in limits.drop_uploads(now=now):
        num_removed += await remove_files(files, gone)
    return num_removed


async def remove_files(files: ImageFiles, gone: Iterable[str]) -> int:
    """Remove files by their SHA-256 that no row names any more, off the event loop. Return how many there were."""
    return await asyncio.to_thread(lambda: sum(map(files.remove, gone)))


async def sweep_periodically(
    register: FileReferences,
    files: ImageFiles,
    problems: Problems | None = None,
    *,
    first_s: float = FIRST_SWEEP_S,
    every_s: float = SWEEP_EVERY_S,
    look_every_s: float = LOOK_EVERY_S,
) -> None:
    """Sweep after the start, regularly, and whenever much was put, until cancelled."""
    problems = problems or Problems()
    due_s = time.monotonic() + first_s
    since, num_bytes = utc_now(), 0  # of the last sweep
    while True:
        is_due = time.monotonic() >= due_s
        if is_due or files.num_bytes_put - num_bytes >= PRESSED_BYTES:
            untouched = UNTOUCHED if is_due else PRESSED_UNTOUCHED
            try:
                now = await register.fetch_confirmed_now() if is_due else utc_now()
                removed = await sweep(register, files, now=now, untouched=untouched, since=None if is_due else since)
                log.info("action=swept files=%s", removed)
                since, num_bytes = now - untouched, files.num_bytes_put
                due_s = time.monotonic() + every_s if is_due else due_s
                problems.clear("sweeping")
            except Exception:
                log.exception("action=sweeping-failed")
                due_s = time.monotonic() + min(every_s, RETRY_S)
                problems.set("sweeping", _NOT_SWEPT)
        await asyncio.sleep(min(look_every_s, max(0.0, due_s - time.monotonic())))


async def sweep(
    register: FileReferences,
    files: ImageFiles,
    *,
    now: datetime,
    untouched: timedelta = UNTOUCHED,
    since: datetime | None = None,
) -> int:
    """Remove what nothing names and was not put within `untouched`; return how many. A few at a time: others work too.

    `since`: only of what was put since then.
    """
    watched, until = await register.fetch_watched_since(), now - untouched
    since = watched if watched is None or since is None else max(watched, since)
    num_removed = 0
    for part in PARTS:
        await asyncio.to_thread(files.clear_unfinished, part)
        if since is not None:
            old = await asyncio.to_thread(files.untouched, part, since=since, until=until)
            for first in range(0, len(old), _AT_ONCE):
                num_removed += await _remove_strays(register, files, old[first : first + _AT_ONCE], until=until)
    return num_removed


async def _remove_strays(
    register: FileReferences, files: ImageFiles, names: Collection[str], *, until: datetime
) -> int:
    if num_stuck():  # a finished picture lies on disk, and storage refuses the row that names it, perhaps for hours
        return 0
    strays = await register.fetch_strays(names)
    return sum([await asyncio.to_thread(files.remove_untouched, sha256, until=until) for sha256 in strays])
