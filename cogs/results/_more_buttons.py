"""What is asked for more rarely under a message: bolder variations, zoom, new detail, the same again, a favourite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cogs.common.lookups import fetch_image, fetch_image_to_change, fetch_job
from cogs.common.messages import Action
from cogs.common.submission import acknowledge_and_submit
from cogs.context import Interaction
from cogs.error_handler import tell_privately
from cogs.i18n.gettext import _
from cogs.results import _messages
from generation.errors import UnknownJobError
from generation.jobs.derive import apply_hires_fix, reproduce, zoom_out
from generation.jobs.derive_edits import vary_strongly
from generation.jobs.job import Image
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest


async def press_strong(interaction: Interaction, subject: str) -> None:
    await _submit_changed(interaction, subject, partial(vary_strongly, seed=draw_seed()))


async def press_detail(interaction: Interaction, subject: str) -> None:
    await _submit_changed(interaction, subject, apply_hires_fix)


async def press_zoom_half(interaction: Interaction, subject: str) -> None:
    await _submit_changed(interaction, subject, partial(zoom_out, factor=1.5, seed=draw_seed()))


async def press_zoom(interaction: Interaction, subject: str) -> None:
    await _submit_changed(interaction, subject, partial(zoom_out, factor=2.0, seed=draw_seed()))


async def _submit_changed(interaction: Interaction, subject: str, derive: Callable[[Image], GenerationRequest]) -> None:
    """Have another picture made of this one, shown as it is."""
    job, image = await fetch_image_to_change(interaction, subject)
    await acknowledge_and_submit(interaction, derive(image).shown_like(job.request))


async def press_reproduce(interaction: Interaction, subject: str) -> None:
    job, image = await fetch_image(interaction, subject)
    if image.recipe is None:
        raise UnknownJobError
    again = reproduce(image.recipe, parent=image.id, original=image.file_sha256)
    await acknowledge_and_submit(interaction, again.shown_like(job.request, alt=image.alt))


async def press_favourite(interaction: Interaction, subject: str) -> None:
    """Mark or unmark a favourite. Only the person who presses sees or knows."""
    job = await fetch_job(interaction, subject)
    is_one = await interaction.client.services.favourites.toggle_favourite(job.id, interaction.user.id)
    await tell_privately(interaction, _(_messages.FAVOURITE if is_one else _messages.NO_FAVOURITE))


async def press_tell(interaction: Interaction, subject: str) -> None:
    job = await fetch_job(interaction, subject)
    services = interaction.client.services
    if not services.generation.is_live(job.id):
        await tell_privately(interaction, _(_messages.DONE_ALREADY))
        return
    await services.favourites.request_notification(job.id, interaction.user.id)
    await tell_privately(interaction, _(_messages.WILL_TELL))


PRESSES = {
    Action.STRONG: press_strong,
    Action.DETAIL: press_detail,
    Action.ZOOM_HALF: press_zoom_half,
    Action.ZOOM: press_zoom,
    Action.REPRODUCE: press_reproduce,
    Action.FAVOURITE: press_favourite,
    Action.TELL: press_tell,
}
