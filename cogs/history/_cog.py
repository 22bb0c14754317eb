"""/history: one's own pictures, newest first, for one's own eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import discord
from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.discord_errors import CONTENT
from cogs.common.errors import SearchTooLongError
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.messages import Action, MessageSpec
from cogs.common.picture_visibility import is_flagged
from cogs.common.policy_checks import get_place
from cogs.common.refused_messages import MessageRefusedError
from cogs.common.responses import edit_reply
from cogs.context import Interaction, get_owner
from cogs.history import _messages
from cogs.results import MessageVariant, build_result_message
from cogs.services import Services
from generation.admission.gate import fetch_visibility
from generation.errors import UnknownJobError
from generation.images.codec import tile
from generation.jobs.delivery import Delivery
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Job, Status
from generation.jobs.permissions import require_visible
from generation.policy.policy import ChannelContext
from generation.safety.visibility import Shown

PAGE = 3
Search = app_commands.Range[str, 1, 30]


class History(commands.Cog):
    """What was painted before."""

    @app_commands.command(description="Show your pictures in this server, newest first. Only you see the answer.")
    @app_commands.describe(
        search="Words to search for in the prompts.",
        show="Show your favourites only, including other members' pictures.",
    )
    @app_commands.choices(show=[Choice(name="favourites", value="favourites")])
    async def history(
        self, interaction: Interaction, search: Search | None = None, show: Choice[str] | None = None
    ) -> None:
        look = HistoryFilter(words=_clean_search(search), favourites=show is not None)
        await interaction.response.defer(ephemeral=True)
        async with interaction.client.services.drawing.turn(get_owner(interaction)):
            say = await _build_page(interaction, look, before=None)
        await edit_reply(interaction, say)


async def press_history(interaction: Interaction, subject: str) -> None:
    """Turn the page: the subject says from when it goes back, and what is looked for (see `_messages.turned`)."""
    before, look = _parse_page(subject)
    await interaction.response.defer()
    async with interaction.client.services.drawing.turn(get_owner(interaction)):
        say = await _build_page(interaction, look, before=before)
    await edit_reply(interaction, say)


async def press_open(interaction: Interaction, subject: str) -> None:
    """One job in full, with its buttons."""
    services = interaction.client.services
    job = await services.jobs.fetch_job(subject)
    owner = get_owner(interaction)
    require_visible(job, owner)
    # Others' pictures open only for those who have them as a favourite: whose message they could press that under.
    if not job.is_end or (job.owner != owner and not await services.history.is_favourite(job.id, owner.user_id)):
        raise UnknownJobError
    await interaction.response.defer(ephemeral=True, thinking=True)
    variant = MessageVariant(interaction.filesize_limit or DEFAULT_SIZE_LIMIT)
    async with services.drawing.turn(owner):
        await _show(interaction, job, variant)


async def _show(interaction: Interaction, job: Job, variant: MessageVariant) -> None:
    """Show a job in the variant that Discord takes."""
    say = await build_result_message(job, interaction.client.services, variant=variant, place=get_place(interaction))
    try:
        await edit_reply(interaction, say)
    except discord.HTTPException as error:
        if (refused := MessageRefusedError.of(error)).step not in CONTENT:
            raise
        await _show(interaction, job, variant.after(refused, say))


async def _build_page(interaction: Interaction, look: HistoryFilter, *, before: datetime | None) -> MessageSpec:
    """Return the next few jobs that have pictures; jobs that were cancelled, failed or deleted are passed over."""
    services, owner, place = interaction.client.services, get_owner(interaction), get_place(interaction)
    jobs = await services.history.fetch_page(owner, look, limit=PAGE + 1, before=before)
    shown = jobs[:PAGE]
    places = await services.deliveries.fetch_some([job.id for job in shown])
    past = [await _build_past(services, job, places.get(job.id), place) for job in shown]
    older = shown[-1].created_at if len(jobs) > PAGE else None
    return _messages.build_history(past, look, guild_id=owner.guild_id, older=older, is_first=before is None)


async def _build_past(
    services: Services, job: Job, delivery: Delivery | None, place: ChannelContext
) -> _messages.PastJob:
    """Return all pictures of a job that are still there as one small picture. What was flagged stays out of it."""
    shown = await fetch_visibility(job, services, place)
    done = [each for each in job.images if each.status is Status.DONE and shown[each.index] is not Shown.NOT]
    hashes = [image.file_sha256 for image in done if image.file_sha256 and not is_flagged(image)]
    sheet = await asyncio.to_thread(_tile_files, services, hashes)
    is_spoiler = any(shown[image.index] is Shown.SPOILER for image in done)
    return _messages.PastJob(job, sheet, delivery, is_spoiler=is_spoiler)


def _tile_files(services: Services, hashes: Sequence[str]) -> bytes | None:
    found = [services.generation.files.get(sha256) for sha256 in hashes]
    pngs = [png for png in found if png is not None]
    return tile(pngs) if pngs else None


def _clean_search(search: str | None) -> str:
    words = " ".join((search or "").split())
    if len(words.encode()) > _messages.MAX_SEARCH_BYTES:
        raise SearchTooLongError
    return words


def _parse_page(subject: str) -> tuple[datetime | None, HistoryFilter]:
    """Return what `_messages.turned` wrote. Raise `UnknownJobError` for a forged button."""
    time, _, look = subject.partition(":")
    is_favourites, _, words = look.partition(":")
    try:
        before = datetime.fromtimestamp(int(time) / 1_000_000, UTC) if time else None
        return before, HistoryFilter(words=bytes.fromhex(words).decode(), favourites=is_favourites == "f")
    except (ValueError, OverflowError, OSError):
        raise UnknownJobError from None


PRESSES = {Action.HISTORY: press_history, Action.OPEN: press_open}
