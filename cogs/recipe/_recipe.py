"""Show a job's recipe: to who presses the button, and for the commands and menus that ask for it."""

from __future__ import annotations

from cogs.common.lookups import fetch_job_or_part
from cogs.common.messages import Action
from cogs.common.responses import edit_reply
from cogs.context import Interaction, get_owner
from cogs.recipe import _messages
from generation.errors import UnknownJobError
from generation.jobs.job import Job
from generation.jobs.permissions import select_visible_relatives


async def handle_recipe(interaction: Interaction, subject: str) -> None:
    await show_recipe(interaction, await fetch_job_or_part(interaction, subject))


async def show_recipe(interaction: Interaction, job: Job) -> None:
    """Show a job's recipe with its family, to the person alone. Raise `UnknownJobError` if nothing was painted."""
    if not any(image.recipe for image in job.images):
        raise UnknownJobError
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    kin = select_visible_relatives(await services.history.fetch_kin(job), get_owner(interaction))
    family = [relative.id for relative, _ in kin.parents] + [child.id for child in kin.children]
    say = _messages.build_recipe(job, kin, await services.deliveries.fetch_some(family))
    await edit_reply(interaction, say)


PRESSES = {Action.RECIPE: handle_recipe}
