"""Waits to run the bot until no other does: a standby, which takes over where the bot ends or its machine is lost.

The bot that has the locks runs: those of the data folder and of the database, which end with their holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from config import Settings
from db.engine import parse_url
from db.lock import FolderLock
from db.readonly import find_holder
from generation.errors import ConfigurationError

log = logging.getLogger("atelier")
EVERY_S = 0.25
"""How often the locks are looked at. Nothing is taken by that."""


def is_taken(settings: Settings) -> bool:
    """Return whether another bot has the data folder or the database, or the database is out of reach. Blocks."""
    try:
        held = FolderLock(settings.data_dir).holder() or find_holder(parse_url(settings.url_of_database))
    except ConfigurationError as error:
        log.warning("action=standby-cannot-look reason=%s", error)
        return True
    return held is not None


async def wait_for_turn(settings: Settings, stop: asyncio.Event) -> bool:
    """Return True once no other bot runs, False when told to stop before."""
    if await asyncio.to_thread(is_taken, settings):
        log.info("action=standing-by data_dir=%s", settings.data_dir)
    while not stop.is_set():
        if not await asyncio.to_thread(is_taken, settings):
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
    return False
