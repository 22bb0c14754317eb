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
    await remove_files(services, gone)
    number = len(gone)
    async for files in services.personal.finish_erasing():
        await remove_files(services, files)
        number += len(files)
    for guild_id in await services.departures.fetch_overdue():
        number += await _erase_guild(services, guild_id)
    if number:
        log.info("action=swept files=%s", number)
    return number


async def _erase_guild(services: Services, guild_id: int) -> int:
    """How many files went. What it still had in line is stopped first."""
    studio, number = services.studio, 0
    if not await services.departures.is_gone(guild_id):  # others were erased since it was found
        return 0
    for view in studio.jobs_of(guild_id):
        await studio.cancel(view.job.id)
    async for files in services.departures.erase(guild_id):
        await remove_files(services, files)
        number += len(files)
    services.governance.forget(guild_id)
    await _renew_claims(services, guild_id)
    log.info("guild=%s action=erased-after-grace files=%s", guild_id, number)
    return number


async def _renew_claims(services: Services, guild_id: int) -> None:
    """What is in force is what is stored, also of a guild that came back meanwhile."""
    services.studio.forget_claims(guild_id)
    services.studio.set_weight(guild_id, (await services.guilds.fetch(guild_id)).weight)
    for boost in await services.guilds.fetch_boosts():
        if boost.guild_id == guild_id:
            services.studio.set_boost(boost)
