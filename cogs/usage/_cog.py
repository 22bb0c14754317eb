"""/usage: what was asked for, and what is left."""

from __future__ import annotations

import asyncio

from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.checks import require_manager
from cogs.common.messages import MessageSpec
from cogs.common.responses import edit_reply
from cogs.context import Interaction, get_owner, list_role_ids
from cogs.usage import _messages
from generation.policy.guild_settings import zone
from generation.policy.usage import beginning, list_last_days

DAYS = 14
_MINE, _SERVER = "mine", "server"
WHOSE = [Choice(name="mine", value=_MINE), Choice(name="the whole server's", value=_SERVER)]


class Usage(commands.Cog):
    """Who used how much."""

    @app_commands.command(description="Show what you used here and what is left. Only you see the answer.")
    @app_commands.describe(whose="Your own, or the whole server's (needs “Manage Server”).")
    @app_commands.choices(whose=WHOSE)
    async def usage(self, interaction: Interaction, whose: Choice[str] | None = None) -> None:
        is_server = whose is not None and whose.value == _SERVER
        if is_server:
            require_manager(interaction)
        await interaction.response.defer(ephemeral=True)
        async with interaction.client.services.drawing.turn(get_owner(interaction)):
            say = await (_build_server(interaction) if is_server else _build_own(interaction))
        await edit_reply(interaction, say)


async def _build_own(interaction: Interaction) -> MessageSpec:
    services, owner = interaction.client.services, get_owner(interaction)
    now, roles = interaction.created_at, list_role_ids(interaction)
    guild = await services.guilds.fetch(owner.guild_id)
    day = zone(guild.timezone)
    days = list_last_days(DAYS, now, zone=day)
    used = await services.usage.fetch_days(owner.guild_id, days, zone=day, user_id=owner.user_id)
    allowances = await services.quotas.fetch_allowances(owner, role_ids=roles, now=now)
    return await asyncio.to_thread(
        _messages.build_own,
        used,
        allowances,
        guild_id=owner.guild_id,
        timezone=guild.timezone,
        boost=services.generation.get_boost(owner.guild_id, roles),
        units_per_s=services.generation.units_per_s,
    )


async def _build_server(interaction: Interaction) -> MessageSpec:
    services, guild_id = interaction.client.services, require_manager(interaction)
    guild = await services.guilds.fetch(guild_id)
    day = zone(guild.timezone)
    days = list_last_days(DAYS, interaction.created_at, zone=day)
    used = await services.usage.fetch_days(guild_id, days, zone=day)
    members = await services.usage.fetch_members(guild_id, since=beginning(days[0], zone=day))
    weight, part = services.generation.share_of(guild_id)
    return await asyncio.to_thread(
        _messages.build_server, used, members, timezone=guild.timezone, weight=weight, part=part
    )
