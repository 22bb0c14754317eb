"""Clears away finished pictures whose time is over, once an hour."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from generation.files import ImageFiles

log = logging.getLogger(__name__)
EVERY_S = 3600.0


async def keep_tidy(
    fetch_expired: Callable[[], Awaitable[Collection[str]]], files: ImageFiles, *, every_s: float = EVERY_S
) -> None:
    """Remove the files that `fetch_expired` names, now and every so often, until cancelled."""
    while True:
        try:
            num_removed = await tidy(await fetch_expired(), files)
            log.info("action=tidied files=%s", num_removed)
        except Exception:
            log.exception("action=tidying-failed")
        await asyncio.sleep(every_s)


async def tidy(expired: Collection[str], files: ImageFiles) -> int:
    """Remove these files; how many there were."""
    return sum([await asyncio.to_thread(files.remove, sha256) for sha256 in expired])
