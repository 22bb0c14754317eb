"""What was promised to go after a time goes: pictures kept for review, and what guilds that left have left behind."""

from __future__ import annotations

import asyncio
import gc
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
        gc.collect()
        await asyncio.sleep(EVERY_S)


async def sweep(services: Services) -> int:
    """Once. How many files went."""
    await services.moderation.forget_old_refusals()
    gone = await services.governance.drop_reviewed()
    for guild_id in await services.departures.fetch_overdue():
        gone += await _erase_guild(services, guild_id)
    await remove_files(services, gone)
    if gone:
        log.info("action=swept files=%s", len(gone))
    return len(gone)


async def _erase_guild(services: Services, guild_id: int) -> list[str]:
    """Its files. What it still had in line is stopped first."""
    studio = services.studio
    for view in studio.jobs_of(guild_id):
        await studio.cancel(view.job.id)
    gone = await services.departures.erase(guild_id)
    services.governance.forget(guild_id)
    studio.forget_claims(guild_id)
    log.info("guild=%s action=erased-after-grace files=%s", guild_id, len(gone))
    return sorted(gone)
