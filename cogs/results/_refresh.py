"""Shows a finished job again as it is now: in the message whose button was pressed, and in the one of its channel."""

from __future__ import annotations

import logging

import discord

from cogs.common.discord_errors import CONTENT
from cogs.common.lookups import fetch_job_or_part
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.picture_visibility import fetch_channel
from cogs.common.policy_checks import build_place, get_place
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.common.rendering import render_edit
from cogs.context import Interaction, get_owner, is_in_server
from cogs.error_handler import LOST
from cogs.results._reduced_variants import MessageVariant
from cogs.results._result import build_result_message
from generation.errors import UnknownJobError
from generation.jobs.job import Job, ReplyTo
from generation.policy.policy import ChannelContext

log = logging.getLogger(__name__)


async def refresh_messages(interaction: Interaction, subject: str) -> None:
    """Acknowledge the interaction by the message as it is now, of a job or one picture of it (`subject`).

    Raise `UnknownJobError` if it is gone.
    """
    if not interaction.response.is_done():
        await interaction.response.defer()
    services = interaction.client.services
    part = await fetch_job_or_part(interaction, subject)
    async with services.drawing.turn(get_owner(interaction)):
        if interaction.message is not None:
            variant = MessageVariant(interaction.filesize_limit or DEFAULT_SIZE_LIMIT)
            await _edit_pressed(interaction, part, variant, is_part=":" in subject)
        await _edit_posted(interaction, await services.jobs.fetch_job(part.id))


async def _edit_pressed(interaction: Interaction, job: Job, variant: MessageVariant, *, is_part: bool) -> None:
    """Edit the message in the variant that Discord takes."""
    services, place = interaction.client.services, get_place(interaction)
    say = await build_result_message(job, services, variant=variant, place=place, is_part=is_part)
    try:
        await interaction.edit_original_response(**render_edit(say))
    except discord.HTTPException as error:
        if (refused := MessageRefusedError.of(error)).step not in CONTENT:
            raise
        await _edit_pressed(interaction, job, variant.after(refused, say), is_part=is_part)


async def _edit_posted(interaction: Interaction, job: Job) -> None:
    """Edit the message of the channel, if the button was under another one. Best effort: it may be gone or closed."""
    client = interaction.client
    try:
        place = (await client.services.deliveries.fetch(job.id)).reply_to
    except UnknownJobError:
        return
    is_here = interaction.message is not None and interaction.message.id == place.message_id
    if place.message_id is None or place.is_private or is_here:
        return
    try:
        await _edit_as_bot(interaction, job, place, place.message_id)
    except (UnreachableError, MessageRefusedError, *LOST) as error:
        log.info("job=%s action=message-not-renewed error=%s", job.id, type(error).__name__)


async def _edit_as_bot(interaction: Interaction, job: Job, place: ReplyTo, message_id: int) -> None:
    client, guild = interaction.client, interaction.guild
    context = await _fetch_context(interaction, place.channel_id)
    variant = MessageVariant(guild.filesize_limit if guild is not None else DEFAULT_SIZE_LIMIT)
    message = client.get_partial_messageable(place.channel_id).get_partial_message(message_id)
    while True:
        say = await build_result_message(job, client.services, variant=variant, place=context)
        try:
            await message.edit(**render_edit(say), allowed_mentions=discord.AllowedMentions.none())
        except discord.HTTPException as error:
            variant = variant.after(MessageRefusedError.of(error), say)
        else:
            return


async def _fetch_context(interaction: Interaction, channel_id: int) -> ChannelContext:
    channel = await fetch_channel(interaction.client, channel_id)
    return build_place(channel, channel_id=channel_id, is_dm=not is_in_server(interaction))
