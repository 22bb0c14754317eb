"""/operator: for those who run the bot, named by id in the settings. Works whatever a server's managers say."""

from __future__ import annotations

from discord import app_commands
from discord.ext import commands

from cogs.errors import tell_privately
from cogs.services import Interaction
from cogs.words import plural
from generation.errors import NotAllowed

NOT_THE_OPERATOR = "Only the operator of this bot can do that."


@app_commands.default_permissions(administrator=True)
class Operating(commands.GroupCog, group_name="operator", group_description="For those who run this bot."):
    """Every one of these checks the id itself: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Take no more requests, in any server, until opened again or restarted.")
    @app_commands.describe(stop="Also stop everything that waits or is painted.")
    async def close(self, interaction: Interaction, stop: bool = False) -> None:
        require_operator(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        studio = interaction.client.services.studio
        studio.is_closed = True
        stopping = list(studio.live_ids()) if stop else []
        for job_id in stopping:
            await studio.cancel(job_id)
        said = f" Stopping {plural(len(stopping), 'request')}." if stop else " What is in line is still painted."
        await interaction.followup.send(f"Closed.{said} `/operator open` opens again.", ephemeral=True)

    @app_commands.command(description="Take requests again.")
    async def open(self, interaction: Interaction) -> None:
        require_operator(interaction)
        interaction.client.services.studio.is_closed = False
        await tell_privately(interaction, "Open.")

    @app_commands.command(description="What the machine is doing, over all servers.")
    async def state(self, interaction: Interaction) -> None:
        require_operator(interaction)
        studio = interaction.client.services.studio
        lines = [
            "Closed to new requests." if studio.is_closed else "Open.",
            "The painter is up." if studio.is_ready else "The painter is starting or restarting.",
            f"{studio.num_running:,} being painted, {studio.num_waiting:,} waiting.",
            f"{plural(len(interaction.client.guilds), 'server')}.",
        ]
        await tell_privately(interaction, "\n".join(lines))


def require_operator(interaction: Interaction) -> None:
    """Raise `NotAllowed` unless the person is named in `ATELIER_OWNER_IDS`."""
    if interaction.user.id not in interaction.client.services.owner_ids:
        raise NotAllowed(why=NOT_THE_OPERATOR)
