"""/queue and /cancel: who waits here, and stopping what is one's own."""

from __future__ import annotations

from discord import app_commands
from discord.app_commands import Transform
from discord.ext import commands

from cogs.common.messages import MessageSpec
from cogs.common.responses import send_reply, send_text
from cogs.common.transformers import LiveJobOption
from cogs.context import Interaction, ListBuilder, get_owner, list_role_ids
from cogs.error_handler import tell_privately
from cogs.i18n.gettext import _
from cogs.queue import _messages
from generation.errors import UnknownJobError
from generation.owner import is_server


class Queue(commands.Cog):
    """The line."""

    @app_commands.command(description="Show the queue of this server and how long it takes.")
    async def queue(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_queue(interaction, ""))

    @app_commands.command(description="Stop your requests. Pictures that have not started cost nothing.")
    @app_commands.describe(picture="The request to stop. Leave it out to stop all your requests here.")
    async def cancel(self, interaction: Interaction, picture: Transform[str, LiveJobOption] | None = None) -> None:
        generation, owner = interaction.client.services.generation, get_owner(interaction)
        mine = [view.job.id for view in generation.list_guild_jobs(owner.guild_id) if view.job.owner == owner]
        if picture is not None and picture not in mine:
            raise UnknownJobError
        wanted = mine if picture is None else [picture]
        if not wanted:
            await tell_privately(interaction, _(_messages.NOTHING_OF_YOURS))
            return
        await send_text(interaction, _messages.format_cancelling(len(wanted)))
        for job_id in wanted:
            await generation.cancel(job_id)


async def _build_queue(interaction: Interaction, _: str) -> MessageSpec:
    services, owner = interaction.client.services, get_owner(interaction)
    views = services.generation.list_guild_jobs(owner.guild_id)
    if not is_server(owner.guild_id):  # those who share such a tenant know nothing of each other
        views = [view for view in views if view.job.owner == owner]
    weight, part = services.generation.share_of(owner.guild_id)
    return _messages.build_queue(
        views,
        viewer_id=owner.user_id,
        num_waiting=services.generation.num_waiting,
        num_running=services.generation.num_running,
        share=(weight, part),
        boost=services.generation.get_boost(owner.guild_id, list_role_ids(interaction)),
        is_ready=services.generation.is_ready,
        is_paused=services.generation.is_paused,
    )


LISTS: dict[str, ListBuilder] = {_messages.KEY: _build_queue}
