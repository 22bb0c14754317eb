"""The buttons most often pressed under a message: enlarge, vary, reroll, recipe, cancel and delete."""

from __future__ import annotations

from contextlib import suppress

import discord

from cogs.common.checks import get_permissions_in_server, may_moderate_in
from cogs.common.lookups import Found, fetch_image_to_change, fetch_job, fetch_job_to_change
from cogs.common.messages import Action
from cogs.common.policy_checks import fetch_default_upscaler
from cogs.common.submission import acknowledge_and_submit
from cogs.context import ButtonHandler, Interaction, get_owner
from cogs.error_handler import tell_privately
from cogs.i18n.gettext import _
from cogs.results import _messages
from generation.errors import UnknownJobError
from generation.images.cleanup import remove_files
from generation.jobs.derive import enlarge, reroll, vary
from generation.jobs.job import Job, ReplyTo
from generation.jobs.permissions import require_may_stop
from generation.requests.seeds import draw_seed


async def press_upscale(interaction: Interaction, subject: str) -> None:
    await submit_enlargement(interaction, await fetch_image_to_change(interaction, subject))


async def submit_enlargement(interaction: Interaction, found: Found) -> None:
    """Have the picture enlarged by what the server chose. Raise `InvalidRequestError` if it is too large."""
    job, image = found
    model = interaction.client.services.generation.catalog.get(image.spec.model)
    request = enlarge(image, await fetch_default_upscaler(interaction, model))
    await acknowledge_and_submit(interaction, request.shown_like(job.request, alt=image.alt))


async def press_vary(interaction: Interaction, subject: str) -> None:
    job, image = await fetch_image_to_change(interaction, subject)
    await acknowledge_and_submit(interaction, vary(image, seed=draw_seed()).shown_like(job.request))


async def press_reroll(interaction: Interaction, subject: str) -> None:
    await acknowledge_and_submit(interaction, reroll(await fetch_job_to_change(interaction, subject), seed=draw_seed()))


async def press_cancel(interaction: Interaction, subject: str) -> None:
    """Cancel the job. The tracker edits its message when it has ended."""
    job = await fetch_job(interaction, subject)
    await _require_may_stop(interaction, job)
    if not interaction.client.services.generation.is_live(job.id):
        await tell_privately(interaction, _(_messages.NOTHING_TO_CANCEL))
        return
    await interaction.response.defer()
    await interaction.client.services.generation.cancel(job.id)


async def press_delete(interaction: Interaction, subject: str) -> None:
    """Pictures and message go; the row and its recipe stay. Pressed twice, the second finds nothing left to do."""
    job = await fetch_job(interaction, subject)
    services = interaction.client.services
    await _require_may_stop(interaction, job)
    if services.generation.is_live(job.id):
        await tell_privately(interaction, _(_messages.STILL_PAINTING))
        return
    await interaction.response.defer()
    await remove_files(services.generation.files, await services.jobs.forget_pictures(job.id))
    with suppress(discord.NotFound):
        await interaction.delete_original_response()
    await _delete_posted(interaction, job)


async def _require_may_stop(interaction: Interaction, job: Job) -> None:
    """Raise `NotAllowedError` unless the job is the person's own, or they may manage messages where its message
    stands."""
    owner = get_owner(interaction)
    is_moderator = job.owner != owner and await _can_moderate(interaction, job)
    require_may_stop(job, owner, is_moderator=is_moderator)


async def _can_moderate(interaction: Interaction, job: Job) -> bool:
    """Return whether the person moderates where the job's message stands. The button's own channel does not count."""
    place = await _fetch_reply_to(interaction, job)
    if place is None:
        return get_permissions_in_server(interaction).manage_messages
    return may_moderate_in(interaction, place.channel_id)


async def _fetch_reply_to(interaction: Interaction, job: Job) -> ReplyTo | None:
    """Where the job's message stands; None for a job that no one on Discord asked for."""
    try:
        return (await interaction.client.services.deliveries.fetch(job.id)).reply_to
    except UnknownJobError:
        return None


async def _delete_posted(interaction: Interaction, job: Job) -> None:
    """Delete the message in the channel, if the button was under another one."""
    place = await _fetch_reply_to(interaction, job)
    is_here = interaction.message is not None and place is not None and interaction.message.id == place.message_id
    if place is None or place.message_id is None or is_here:
        return
    channel = interaction.client.get_partial_messageable(place.channel_id)
    with suppress(discord.NotFound, discord.Forbidden):
        await channel.get_partial_message(place.message_id).delete()


PRESSES: dict[Action, ButtonHandler] = {
    Action.UPSCALE: press_upscale,
    Action.VARY: press_vary,
    Action.REROLL: press_reroll,
    Action.CANCEL: press_cancel,
    Action.DELETE: press_delete,
}
