"""Shows a finished job again as it is now: in the message whose button was pressed, and in the one of its channel."""

from __future__ import annotations

import logging

import discord

from cogs.common.discord_errors import CONTENT
from cogs.common.lookups import fetch_job_or_part
from cogs.common.member_language import get_locale
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.picture_visibility import fetch_channel
from cogs.common.policy_checks import build_place, get_place
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.common.rendering import render_edit
from cogs.context import Interaction, get_owner, is_in_server
from cogs.error_handler import LOST
from cogs.i18n.gettext import use_language
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
    place = await _fetch_reply_to(interaction, part.id)
    is_posted = interaction.message is not None and place is not None and place.message_id == interaction.message.id
    async with services.drawing.turn(get_owner(interaction)):
        if interaction.message is not None:
            variant = MessageVariant(interaction.filesize_limit or DEFAULT_SIZE_LIMIT)
            with use_language(place.locale if is_posted and place is not None else get_locale(interaction)):
                await _edit_pressed(interaction, part, variant, is_part=":" in subject)
        if place is not None and not is_posted:
            with use_language(place.locale):
                await _edit_posted(interaction, await services.jobs.fetch_job(part.id), place)


async def _fetch_reply_to(interaction: Interaction, job_id: str) -> ReplyTo | None:
    try:
        return (await interaction.client.services.deliveries.fetch(job_id)).reply_to
    except UnknownJobError:
        return None


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


async def _edit_posted(interaction: Interaction, job: Job, place: ReplyTo) -> None:
    """Edit the message of the channel, if the button was under another one. Best effort: it may be gone or closed."""
    if place.message_id is None or place.is_private:
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
