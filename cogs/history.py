"""/history: one's own pictures, newest first, for one's own eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from discord import app_commands
from discord.ext import commands

from cogs import pages
from cogs.delivery import DEFAULT_SIZE_LIMIT
from cogs.errors import PRIVATE
from cogs.gathering import gather
from cogs.paper import files, layout
from cogs.say import Action, Say
from cogs.services import Interaction, Services, owner_of
from generation.delivery import Delivery
from generation.errors import UnknownJob
from generation.images import tile
from generation.job import Job, Owner, Status

PAGE = 3
STRETCH = 24
"""How many jobs are looked through for one page."""


class History(commands.Cog):
    """What was painted before."""

    @app_commands.command(description="Your own pictures here, newest first. Only you see the answer.")
    async def history(self, interaction: Interaction) -> None:
        interaction.extras[PRIVATE] = True
        await interaction.response.defer(ephemeral=True)
        say = await _page(interaction.client.services, owner_of(interaction), before=None)
        await interaction.edit_original_response(view=layout(say), attachments=files(say))


async def press_history(interaction: Interaction, subject: str) -> None:
    """Turn the page. The subject is the time, in microseconds, that the page goes back from; empty for the first."""
    before = _time(subject) if subject else None
    await interaction.response.defer()
    say = await _page(interaction.client.services, owner_of(interaction), before=before)
    await interaction.edit_original_response(view=layout(say), attachments=files(say))


async def press_open(interaction: Interaction, subject: str) -> None:
    """One job in full, with its buttons."""
    services = interaction.client.services
    job = await services.jobs.fetch_job(subject)
    if job.owner != owner_of(interaction) or not job.is_end:
        raise UnknownJob
    interaction.extras[PRIVATE] = True
    await interaction.response.defer(ephemeral=True, thinking=True)
    say = await gather(job, services, size_limit=interaction.filesize_limit or DEFAULT_SIZE_LIMIT)
    await interaction.edit_original_response(view=layout(say), attachments=files(say))


async def _page(services: Services, owner: Owner, *, before: datetime | None) -> Say:
    """The next few jobs that have pictures; jobs that were cancelled, failed or deleted are passed over."""
    jobs = await services.jobs.fetch_history(owner, limit=STRETCH, before=before)
    with_pictures = [job for job in jobs if any(image.file_sha256 for image in job.images)]
    shown = with_pictures[:PAGE]
    past = [pages.Remembered(job, await _sheet(services, job), await _delivery(services, job)) for job in shown]
    older = None
    if len(with_pictures) > PAGE:
        older = shown[-1].created_at
    elif len(jobs) == STRETCH:
        older = jobs[-1].created_at
    return pages.history(past, guild_id=owner.guild_id, older=older, is_first=before is None)


async def _sheet(services: Services, job: Job) -> bytes | None:
    """All pictures of a job that are still there, as one small picture."""
    hashes = [image.file_sha256 for image in job.images if image.status is Status.DONE and image.file_sha256]
    return await asyncio.to_thread(_tile, services, hashes)


def _tile(services: Services, hashes: Sequence[str]) -> bytes | None:
    found = [services.studio.files.get(sha256) for sha256 in hashes]
    pngs = [png for png in found if png is not None]
    return tile(pngs) if pngs else None


async def _delivery(services: Services, job: Job) -> Delivery | None:
    try:
        return await services.deliveries.fetch(job.id)
    except UnknownJob:
        return None


def _time(subject: str) -> datetime:
    """Raises `UnknownJob` for a forged button."""
    try:
        return datetime.fromtimestamp(int(subject) / 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnknownJob from None


PRESSES = {Action.HISTORY: press_history, Action.OPEN: press_open}
