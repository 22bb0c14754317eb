"""What was promised to go after a time goes: pictures kept for review, and what guilds that left have left behind."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from cogs.services import Services
from generation.images.cleanup import remove_files
from generation.retry import Task, run_periodically
from generation.translatable import Phrase

log = logging.getLogger(__name__)
EVERY_S, RETRY_S = 600.0, 60.0
_PROBLEM = Phrase("Some data that is due for deletion cannot be deleted. The bot tries again. The log says why.")


async def keep_promises(services: Services) -> None:
    """Until cancelled. A failure is logged and tried again: what is over stays over."""

    async def once() -> None:
        try:
            await sweep(services)
        finally:
            gc.collect()

    await run_periodically(EVERY_S, Task("sweep", _PROBLEM, RETRY_S, EVERY_S), once, services.problems)


async def sweep(services: Services) -> int:
    """Once. How many files went. Raise an `ExceptionGroup` when all else is done, if some of it failed."""
    number, failed = 0, list[Exception]()

    async def try_to(work: Callable[[Services], Awaitable[int]]) -> None:
        nonlocal number
        try:
            number += await work(services)
        except Exception as error:  # the rest is due all the same
            failed.append(error)

    for part in (_forget_refusals, _forget_keys, _drop_reviewed, _finish_erasing):
        await try_to(part)
    for guild_id in await services.removed_guilds.fetch_overdue():
        await try_to(partial(_erase_guild, guild_id=guild_id))
    if number:
        log.info("action=swept files=%s", number)
    if failed:
        raise ExceptionGroup("sweep", failed)
    return number


async def _forget_refusals(services: Services) -> int:
    await services.moderation.forget_old_refusals()
    return 0


async def _forget_keys(services: Services) -> int:
    await services.api_keys.forget_ended()
    return 0


async def _drop_reviewed(services: Services) -> int:
    gone = await services.reviews.drop_reviewed()
    await remove_files(services.generation.files, gone)
    return len(gone)


async def _finish_erasing(services: Services) -> int:
    number = 0
    async for files in services.personal.finish_erasing():
        await remove_files(services.generation.files, files)
        number += len(files)
    return number


async def _erase_guild(services: Services, guild_id: int) -> int:
    """How many files went. What it still had in line is stopped first."""
    generation, number = services.generation, 0
    if not await services.removed_guilds.is_gone(guild_id):  # others were erased since it was found
        return 0
    for view in generation.list_guild_jobs(guild_id):
        await generation.cancel(view.job.id)
    async for files in services.removed_guilds.erase(guild_id):
        await remove_files(services.generation.files, files)
        number += len(files)
    services.guild_policy.forget(guild_id)
    await _renew_claims(services, guild_id)
    log.info("guild=%s action=erased-after-grace files=%s", guild_id, number)
    return number


async def _renew_claims(services: Services, guild_id: int) -> None:
    """Put into force what is stored, also of a guild that came back meanwhile."""
    services.generation.forget_claims(guild_id)
    services.generation.set_weight(guild_id, (await services.guilds.fetch(guild_id)).weight)
    for boost in await services.guilds.fetch_boosts():
        if boost.guild_id == guild_id:
            services.generation.set_boost(boost)
