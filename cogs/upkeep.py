"""Pictures kept for moderators to review are deleted when their time is over."""

from __future__ import annotations

import asyncio
import logging

from cogs.moderation import remove_files
from cogs.services import Services

log = logging.getLogger(__name__)
EVERY_S = 600.0


async def keep_promises(services: Services) -> None:
    """Until cancelled. A failure is logged and tried again: what is over stays over."""
    while True:
        try:
            await sweep(services)
        except Exception:
            log.exception("action=sweep-failed")
        await asyncio.sleep(EVERY_S)


async def sweep(services: Services) -> int:
    """Once. How many files went."""
    gone = await services.governance.drop_reviewed()
    await remove_files(services, gone)
    if gone:
        log.info("action=swept files=%s", len(gone))
    return len(gone)
