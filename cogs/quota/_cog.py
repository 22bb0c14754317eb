"""/quota: what those who manage a server allow in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import available_timezones

import discord
from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.checks import build_audit_entry, require_manager
from cogs.common.deleted_references import find_deleted_roles, read_id, require_role
from cogs.common.errors import IdAloneError, RoleOrMemberError, UnknownQuotaError
from cogs.common.messages import MessageSpec
from cogs.common.responses import send_reply
from cogs.common.transformers import filter_choices
from cogs.context import Interaction, ListBuilder
from cogs.i18n.gettext import _
from cogs.quota import _messages
from generation.policy.quota import MAX_WINDOW_HOURS, Quota, Scope, Unit
from generation.requests.cost import UNITS_PER_STEP
from generation.translatable import Phrase

MAX_LIMIT = 1_000_000
UNITS = [Choice(name="pictures", value=Unit.IMAGES.value), Choice(name="standard steps", value=Unit.COST.value)]
Limit = app_commands.Range[int, 0, MAX_LIMIT]
Hours = app_commands.Range[int, 1, MAX_WINDOW_HOURS]


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class QuotaGroup(
    commands.GroupCog, group_name="quota", group_description="Limit how much members may paint. For managers."
):
    """Every one of these checks the permission itself: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Show all quotas of this server.")
    async def show(self, interaction: Interaction) -> None:
        await _answer(interaction, require_manager(interaction))

    @app_commands.command(name="set", description="Set a limit for the server, for a role's members or for one member.")
    @app_commands.describe(
        limit="The number of pictures or standard steps.",
        of="What to count: pictures, or standard steps (a step of a 512 × 512 picture).",
        role="For each member with this role (@everyone: each member). If left out: the whole server together.",
        member="For this member, with any roles.",
        hours="The last hours that count. If left out: a calendar day.",
    )
    @app_commands.choices(of=UNITS)
    async def set_(
        self,
        interaction: Interaction,
        limit: Limit,
        of: Choice[str] | None = None,
        role: discord.Role | None = None,
        member: discord.User | None = None,
        hours: Hours | None = None,
    ) -> None:
        guild_id = require_manager(interaction)
        scope, subject_id = _choose_subject(role, member)
        if scope is Scope.ROLE:
            require_role(interaction.guild, subject_id)
        unit = Unit(of.value) if of else Unit.IMAGES
        units = limit * (UNITS_PER_STEP if unit is Unit.COST else 1)
        quota = Quota(scope=scope, subject_id=subject_id, unit=unit, limit=units, window_hours=hours)
        await interaction.client.services.quotas.set_quota(guild_id, quota)
        await _answer(interaction, guild_id, done=_messages.format_set(quota, guild_id))

    @app_commands.command(description="Remove a quota.")
    @app_commands.describe(
        of="The quota of pictures or of standard steps.",
        role="The quota of this role.",
        member="The quota of this member.",
        id="The quota of a deleted role or of a member who left, by their Discord id.",
    )
    @app_commands.choices(of=UNITS)
    async def remove(
        self,
        interaction: Interaction,
        of: Choice[str] | None = None,
        role: discord.Role | None = None,
        member: discord.User | None = None,
        id: str | None = None,
    ) -> None:
        guild_id = require_manager(interaction)
        unit, quotas = Unit(of.value) if of else Unit.IMAGES, interaction.client.services.quotas
        if id is None:
            scope, subject_id = _choose_subject(role, member)
        elif role is not None or member is not None:
            raise IdAloneError
        else:
            scope, subject_id = _find_stored_subject(await quotas.fetch_quotas(guild_id), read_id(id))
        quota = Quota(scope=scope, subject_id=subject_id, unit=unit, limit=0)
        if not await quotas.remove_quota(guild_id, quota):
            raise UnknownQuotaError
        gone = find_deleted_roles(interaction.guild, (subject_id,)) if scope is Scope.ROLE else frozenset[int]()
        await _answer(interaction, guild_id, done=_messages.format_removed(quota, guild_id, gone=gone))

    @remove.autocomplete("id")
    async def _ids(self, interaction: Interaction, typed: str) -> list[Choice[str]]:
        """Those that no menu offers any more."""
        found = await interaction.client.services.quotas.fetch_quotas(require_manager(interaction))
        gone = find_deleted_roles(interaction.guild, _list_role_ids(found))
        return filter_choices([(_("role {id} (deleted)", id=each), str(each)) for each in sorted(gone)], typed)

    @app_commands.command(description="Set the time zone in which the days of this server start.")
    @app_commands.describe(zone="A time zone, for example Europe/Berlin.")
    async def timezone(self, interaction: Interaction, zone: str) -> None:
        guild_id = require_manager(interaction)
        entry = build_audit_entry(interaction, Phrase("set the time zone to {zone}", zone=zone))
        await interaction.client.services.guild_policy.change_settings(
            guild_id, lambda old: replace(old, timezone=zone), entry
        )
        await _answer(interaction, guild_id, done=_("Days of this server now start at midnight, {zone}.", zone=zone))

    @timezone.autocomplete("zone")
    async def _zones(self, interaction: Interaction, typed: str) -> list[Choice[str]]:
        return filter_choices([(name, name) for name in sorted(available_timezones())], typed)


async def _answer(interaction: Interaction, guild_id: int, *, done: str | None = None) -> None:
    await send_reply(interaction, await _build_quotas(interaction, guild_id, done=done))


async def _build_quotas(interaction: Interaction, guild_id: int, *, done: str | None = None) -> MessageSpec:
    services = interaction.client.services
    found = await services.quotas.fetch_quotas(guild_id)
    timezone = (await services.guilds.fetch(guild_id)).timezone
    gone = find_deleted_roles(interaction.guild, _list_role_ids(found))
    return _messages.build_quotas(found, guild_id=guild_id, timezone=timezone, done=done, gone=gone)


async def _rebuild(interaction: Interaction, _: str) -> MessageSpec:
    return await _build_quotas(interaction, require_manager(interaction))


def _choose_subject(role: discord.Role | None, member: discord.User | None) -> tuple[Scope, int]:
    if role is not None and member is not None:
        raise RoleOrMemberError
    if role is not None:
        return Scope.ROLE, role.id
    return (Scope.USER, member.id) if member is not None else (Scope.GUILD, 0)


def _list_role_ids(quotas: Sequence[Quota]) -> list[int]:
    return [each.subject_id for each in quotas if each.scope is Scope.ROLE]


def _find_stored_subject(quotas: Sequence[Quota], subject_id: int) -> tuple[Scope, int]:
    """Return what an id stands for in a stored quota. Raise `UnknownQuotaError` if there is none."""
    scope = next((each.scope for each in quotas if each.subject_id == subject_id), None)
    if scope is None or scope is Scope.GUILD:
        raise UnknownQuotaError
    return scope, subject_id


LISTS: dict[str, ListBuilder] = {_messages.KEY: _rebuild}
