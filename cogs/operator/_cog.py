"""/operator: for those who run the bot, named by id in the settings. Works whatever a server's managers say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from cogs.common.checks import build_audit_entry
from cogs.common.errors import NotTheOperatorError, ServerIdError
from cogs.common.messages import MessageSpec
from cogs.common.responses import send_reply, send_text
from cogs.common.transformers import filter_choices
from cogs.context import Interaction, ListBuilder, is_operator
from cogs.error_handler import tell_privately
from cogs.i18n.gettext import _
from cogs.operator import _messages
from cogs.operator._broadcast import MAX_ANNOUNCEMENT_CHARS, broadcast
from cogs.operator._cloud import format_spending
from generation.errors import UnknownJobError
from generation.owner import NO_SERVERS
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_settings import MAX_WEIGHT, MIN_WEIGHT, say_weight
from generation.policy.quota import MAX_WINDOW_HOURS, Quota, Scope, Unit
from generation.scheduling.worker_status import compute_units_per_worker_s
from generation.translatable import Phrase

MAX_DAYS = 90
Hours = app_commands.Range[int, 1, MAX_WINDOW_HOURS]


class ServerOption(app_commands.Transformer[Any]):
    """A server by name or id, completed while typing, for operators alone. Becomes its id; the bot may not be there.

    Raises `NotTheOperatorError` for anyone else, before anything is said of the id.
    """

    async def transform(self, interaction: Interaction, value: str, /) -> int:
        require_operator(interaction)
        if not value.isdecimal() or not 0 < int(value) < 2**63:
            raise ServerIdError
        return int(value)

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        if not is_operator(interaction):
            return []
        return filter_choices(
            [(f"{guild.name} ({guild.id})", str(guild.id)) for guild in interaction.client.guilds], value
        )


Server = app_commands.Transform[int, ServerOption]


@app_commands.default_permissions(administrator=True)
class Operator(commands.GroupCog, group_name="operator", group_description="For operators of this bot."):
    """Every one of these checks the id itself: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Stop accepting requests in all servers, until /operator open.")
    @app_commands.describe(stop="Also stop all waiting and running requests.")
    async def close(self, interaction: Interaction, stop: bool = False) -> None:
        require_operator(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        await services.operator.set_closed(True)
        services.generation.is_closed = True  # after it is stored, so that the last of two who differ decides both
        stopping = list(services.generation.list_live_ids()) if stop else []
        for job_id in stopping:
            await services.generation.cancel(job_id)
        await send_text(interaction, _messages.format_closed(len(stopping) if stop else None))

    @app_commands.command(description="Accept requests again.")
    async def open(self, interaction: Interaction) -> None:
        require_operator(interaction)
        services = interaction.client.services
        await services.operator.set_closed(False)
        services.generation.is_closed = False
        await tell_privately(interaction, _("Open."))

    @app_commands.command(description="Start no new pictures. Requests are accepted and keep their place in the queue.")
    async def pause(self, interaction: Interaction) -> None:
        await _set_paused(interaction, is_paused=True)
        await tell_privately(
            interaction, _("Paused. Pictures in progress are finished, and waiting requests keep their place.")
        )

    @app_commands.command(description="Start pictures again after a pause.")
    async def resume(self, interaction: Interaction) -> None:
        await _set_paused(interaction, is_paused=False)
        await tell_privately(interaction, _("Resumed."))

    @app_commands.command(description="Show the state of the bot over all servers.")
    async def state(self, interaction: Interaction) -> None:
        require_operator(interaction)
        services = interaction.client.services
        generation = services.generation
        text = _messages.build_state(
            await services.operator.admission(),
            num_guilds=len(interaction.client.guilds),
            num_running=generation.num_running,
            num_waiting=generation.num_waiting,
            is_closed=generation.is_closed,
            is_paused=generation.is_paused,
            workers=generation.workers,
            problems=services.problems,
        )
        await tell_privately(interaction, text)

    @app_commands.command(description="Post a message once in every server, in its log channel or system channel.")
    @app_commands.describe(text="The message. It mentions no one and sends no notifications.")
    async def announce(
        self, interaction: Interaction, text: app_commands.Range[str, 1, MAX_ANNOUNCEMENT_CHARS]
    ) -> None:
        require_operator(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        told, untold = await broadcast(interaction.client, text)
        await send_text(interaction, _messages.format_announced(told, untold))

    @app_commands.command(description="Let a server use the bot.")
    @app_commands.describe(server="The server's id. Choose it while typing.")
    async def allow(self, interaction: Interaction, server: Server) -> None:
        await _judge(interaction, server, AccessDecision.ALLOWED)

    @app_commands.command(description="Refuse requests from a server. Its pictures stay.")
    @app_commands.describe(server="The server's id. Choose it while typing.")
    async def deny(self, interaction: Interaction, server: Server) -> None:
        await _judge(interaction, server, AccessDecision.DENIED)

    @app_commands.command(
        description="Choose who may use the bot: all servers except denied ones, or only allowed ones."
    )
    @app_commands.describe(only_allowed="Let only allowed servers use the bot.")
    async def admission(self, interaction: Interaction, only_allowed: bool) -> None:
        require_operator(interaction)
        operator = interaction.client.services.operator
        await operator.set_listed_only(only_allowed)
        await tell_privately(interaction, _messages.format_admission(await operator.admission()))

    @app_commands.command(description="List all servers and whether each may use the bot.")
    async def servers(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_servers(interaction, ""))

    @app_commands.command(description="Show what each server used: pictures and GPU time.")
    @app_commands.describe(days="The number of past days. 7 if left out.")
    async def usage(self, interaction: Interaction, days: app_commands.Range[int, 1, MAX_DAYS] = 7) -> None:
        require_operator(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_reply(interaction, await _build_usage(interaction, str(days)))

    @app_commands.command(description="Show or set how much of the bot's time a server gets, compared with others.")
    @app_commands.describe(
        server="The server's id. Choose it while typing.",
        value="The weight. 1 is usual. If left out, the weight is only shown.",
    )
    async def weight(
        self,
        interaction: Interaction,
        server: Server,
        value: app_commands.Range[float, MIN_WEIGHT, MAX_WEIGHT] | None = None,
    ) -> None:
        require_operator(interaction)
        services = interaction.client.services
        if value is None:
            settings = await services.guilds.fetch(server)
        else:
            _before, settings = await services.guild_policy.change_settings(
                server, lambda old: replace(old, weight=value), build_audit_entry(interaction, say_weight(value))
            )
            services.generation.set_weight(server, settings.weight)
        await tell_privately(interaction, _messages.format_weight(server, settings.weight))

    @app_commands.command(
        description="List all models: what is in memory and where, defaults, licence and safety checker."
    )
    async def models(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_models(interaction, ""))

    @app_commands.command(description="List the workers: device, pictures in progress, speed, losses, loaded models.")
    async def workers(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_workers(interaction, ""))

    @app_commands.command(description="Block a person from making requests outside servers.")
    @app_commands.describe(user="The person.", hours="How long. If left out: until you unblock them.")
    async def block(self, interaction: Interaction, user: discord.User, hours: Hours | None = None) -> None:
        require_operator(interaction)
        lasting = timedelta(hours=hours) if hours else None
        entry = build_audit_entry(interaction, Phrase("blocked a person"))
        for tenant in NO_SERVERS:
            await interaction.client.services.moderation.block(tenant, user.id, entry, lasting=lasting)
        await tell_privately(interaction, _messages.format_blocked(user.id, hours))

    @app_commands.command(description="Let a blocked person make requests outside servers again.")
    @app_commands.describe(user="The person.")
    async def unblock(self, interaction: Interaction, user: discord.User) -> None:
        require_operator(interaction)
        entry = build_audit_entry(interaction, Phrase("unblocked a person"))
        for tenant in NO_SERVERS:
            await interaction.client.services.moderation.unblock(tenant, user.id, entry)
        await tell_privately(interaction, _messages.format_unblocked(user.id))

    @app_commands.command(description="Set how many pictures each person may make a day outside servers.")
    @app_commands.describe(pictures="If left out, there is no limit.")
    async def limit(self, interaction: Interaction, pictures: app_commands.Range[int, 0] | None = None) -> None:
        require_operator(interaction)
        quotas = interaction.client.services.quotas
        for tenant in NO_SERVERS:
            each = Quota(scope=Scope.ROLE, subject_id=tenant, unit=Unit.IMAGES, limit=pictures or 0)
            await (quotas.remove_quota(tenant, each) if pictures is None else quotas.set_quota(tenant, each))
        await tell_privately(interaction, _messages.format_limit(pictures))


def require_operator(interaction: Interaction) -> None:
    """Raise `NotTheOperatorError` unless the person is named in `ATELIER_OWNER_IDS`."""
    if not is_operator(interaction):
        raise NotTheOperatorError


async def _set_paused(interaction: Interaction, *, is_paused: bool) -> None:
    require_operator(interaction)
    services = interaction.client.services
    await services.operator.set_paused(is_paused)
    services.generation.pause(is_paused)


async def _judge(interaction: Interaction, guild_id: int, standing: AccessDecision) -> None:
    require_operator(interaction)
    await interaction.client.services.operator.set_standing(guild_id, standing)
    await tell_privately(
        interaction, _messages.format_standing(guild_id, _fetch_names(interaction).get(guild_id), standing)
    )


def _fetch_names(interaction: Interaction) -> dict[int, str]:
    return {guild.id: guild.name for guild in interaction.client.guilds}


# ListBuilder, as of now.


async def _build_servers(interaction: Interaction, _: str) -> MessageSpec:
    require_operator(interaction)
    services = interaction.client.services
    weights = {each.guild_id: each.weight for each in await services.guilds.fetch_all()}
    return _messages.build_servers(_fetch_names(interaction), await services.operator.admission(), weights)


async def _build_usage(interaction: Interaction, num_days: str) -> MessageSpec:
    require_operator(interaction)
    if not num_days.isdecimal() or len(num_days) > 2 or not 1 <= int(num_days) <= MAX_DAYS:
        raise UnknownJobError
    services, days = interaction.client.services, int(num_days)
    used = await services.usage.fetch_guilds(since=services.clock() - timedelta(days=days))
    units_per_s = compute_units_per_worker_s(services.generation.workers)
    spent = ""
    if (terms := services.cloud_terms) is not None:
        found = await services.cloud.fetch_spending(since=services.clock() - timedelta(days=days))
        spent = format_spending(found, await services.cloud.fetch_committed(), terms, used, units_per_s)
    return _messages.build_usage(used, _fetch_names(interaction), days=days, units_per_s=units_per_s, spent=spent)


async def _build_models(interaction: Interaction, _: str) -> MessageSpec:
    require_operator(interaction)
    generation = interaction.client.services.generation
    unusable = await asyncio.to_thread(generation.list_unusable_models)
    return _messages.build_models(
        generation.catalog.models,
        checks_safety=generation.checks_safety,
        unusable=unusable,
        loaded=generation.loaded_models,
    )


async def _build_workers(interaction: Interaction, _: str) -> MessageSpec:
    require_operator(interaction)
    return _messages.build_workers(interaction.client.services.generation.workers)


LISTS: dict[str, ListBuilder] = {
    _messages.SERVERS: _build_servers,
    _messages.USAGE: _build_usage,
    _messages.MODELS: _build_models,
    _messages.WORKERS: _build_workers,
}
