"""/rules: what those who manage a server forbid in prompts."""

from __future__ import annotations

import asyncio

import discord
from discord import app_commands
from discord.app_commands import Choice
from discord.ext import commands

from cogs.common.attachments import open_attachment
from cogs.common.checks import fetch_language_of_server, require_manager, tell_log_channel
from cogs.common.deleted_references import find_deleted_channels, find_deleted_roles, require_role
from cogs.common.messages import MessageSpec
from cogs.common.policy_checks import get_place
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder
from cogs.i18n.gettext import _, format_error, use_language
from cogs.rules import _messages
from generation.requests.prompt import MAX_PROMPT_CHARS
from generation.rules.rule import MAX_REASON_CHARS, MAX_TEXT_CHARS, Action, Kind, Rule
from generation.rules.transfer import MAX_FILE_BYTES, export_rules

LOOK_BACK = 500
KINDS = [Choice(name="word or words", value=Kind.WORD.value), Choice(name="pattern (RE2)", value=Kind.PATTERN.value)]
ACTIONS = [Choice(name="block", value=Action.BLOCK.value), Choice(name="warn", value=Action.WARN.value)]


@app_commands.guild_only()
@app_commands.default_permissions(manage_guild=True)
class RulesGroup(
    commands.GroupCog, group_name="rules", group_description="Manage what prompts may not contain. For managers."
):
    """Every one of these checks the permission itself: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Forbid a word or a pattern, and show which earlier prompts match.")
    @app_commands.describe(
        text="One or more words, in any spelling (* at the end matches any ending), or a pattern.",
        kind="Whole words, or a pattern (RE2 regular expression).",
        action="Refuse the prompt, or only warn.",
        reason="The reason that the member reads.",
        channel="Only in this channel and its threads.",
        role="Only for members with this role.",
    )
    @app_commands.choices(kind=KINDS, action=ACTIONS)
    async def add(
        self,
        interaction: Interaction,
        text: app_commands.Range[str, 1, MAX_TEXT_CHARS],
        kind: Choice[str] | None = None,
        action: Choice[str] | None = None,
        reason: app_commands.Range[str, 1, MAX_REASON_CHARS] | None = None,
        channel: discord.TextChannel | None = None,
        role: discord.Role | None = None,
    ) -> None:
        guild_id = require_manager(interaction)
        if role is not None:
            require_role(interaction.guild, role.id)
        rule = Rule(
            kind=Kind(kind.value) if kind else Kind.WORD,
            text=text.strip(),
            action=Action(action.value) if action else Action.BLOCK,
            reason=(reason or "").strip(),
            channel_ids=(channel.id,) if channel else (),
            role_ids=() if role is None or role.is_default() else (role.id,),
        )
        await interaction.response.defer(ephemeral=True)
        services = interaction.client.services
        is_new = bool(
            await services.content_rules.add_rules(guild_id, [rule], by=interaction.user.id, at=interaction.created_at)
        )
        there = await services.content_rules.fetch_rules(guild_id)
        stored = next((each for each in there if each == rule), rule)  # another may have removed it meanwhile
        prompts = await services.content_rules.fetch_recent_prompts(guild_id, limit=LOOK_BACK)
        matches = await services.content_rules.screener.look_back(guild_id, rule, prompts)
        caught = [(prompts[index][0], found) for index, found in matches]
        await send_reply(interaction, _messages.build_added(stored, caught, len(prompts), is_new=is_new))
        with use_language(await fetch_language_of_server(interaction)):
            said = _("added a rule: {rule}", rule=_messages.format_rule(stored))
        await tell_log_channel(interaction, said)

    @app_commands.command(description="Remove a rule.")
    @app_commands.describe(number="Its number in /rules list.")
    async def remove(self, interaction: Interaction, number: app_commands.Range[int, 1]) -> None:
        guild_id = require_manager(interaction)
        await interaction.response.defer(ephemeral=True)
        services, at = interaction.client.services, interaction.created_at
        removed = await services.content_rules.remove_rule(guild_id, number, by=interaction.user.id, at=at)
        await _list(interaction, guild_id, done=_("Removed: {rule}", rule=_messages.format_rule(removed)))
        with use_language(await fetch_language_of_server(interaction)):
            said = _("removed a rule: {rule}", rule=_messages.format_rule(removed))
        await tell_log_channel(interaction, said)

    @app_commands.command(name="list", description="Show all content rules of this server.")
    async def list_(self, interaction: Interaction) -> None:
        guild_id = require_manager(interaction)
        await interaction.response.defer(ephemeral=True)
        await _list(interaction, guild_id)

    @app_commands.command(description="Test a text: show which rules match here, and why. Nothing is painted.")
    @app_commands.describe(text="A prompt to test.")
    async def test(self, interaction: Interaction, text: app_commands.Range[str, 1, MAX_PROMPT_CHARS]) -> None:
        guild_id = require_manager(interaction)
        await interaction.response.defer(ephemeral=True)
        services = interaction.client.services
        policy = await services.guild_policy.fetch(guild_id)
        matches = await services.content_rules.screen(policy, [text])
        every_role = {each for rule in policy.rules.rules for each in rule.role_ids}
        hits = policy.rules.hits(matches, channel_ids=get_place(interaction).channel_ids, role_ids=every_role)
        await send_reply(interaction, _messages.build_test(text, hits))

    @app_commands.command(name="import", description="Import rules from a file: an export, or a list of words.")
    @app_commands.describe(
        file="A UTF-8 file: one word or /pattern/ per line, or a file from /rules export.",
        replacing="Remove all present rules first.",
    )
    async def import_(self, interaction: Interaction, file: discord.Attachment, replacing: bool = False) -> None:
        guild_id = require_manager(interaction)
        await interaction.response.defer(ephemeral=True)
        client = interaction.client
        async with open_attachment(interaction, file, max_bytes=MAX_FILE_BYTES) as data:
            rules = await client.services.content_rules.screener.read_file(guild_id, data)
        number = await client.services.content_rules.add_rules(
            guild_id, rules, by=interaction.user.id, at=interaction.created_at, replacing=replacing
        )
        await _list(interaction, guild_id, done=_messages.format_imported(number, len(rules)))
        with use_language(await fetch_language_of_server(interaction)):
            said = _("imported rules: {outcome}", outcome=_messages.format_imported(number, len(rules)))
        await tell_log_channel(interaction, said)

    @app_commands.command(description="Export all rules as a file, for a backup or for another server.")
    async def export(self, interaction: Interaction) -> None:
        guild_id = require_manager(interaction)
        rules = await interaction.client.services.content_rules.fetch_rules(guild_id)
        data = await asyncio.to_thread(export_rules, rules)
        await send_reply(interaction, _messages.build_export(len(rules), data))


async def _list(interaction: Interaction, guild_id: int, *, done: str | None = None) -> None:
    await send_reply(interaction, await _build_listing(interaction, guild_id, done=done))


async def _build_listing(interaction: Interaction, guild_id: int, *, done: str | None = None) -> MessageSpec:
    services = interaction.client.services
    rules = await services.content_rules.fetch_rules(guild_id)
    in_force = (await services.guild_policy.fetch(guild_id)).rules
    problem = await services.content_rules.screener.problem(guild_id, in_force)
    return await asyncio.to_thread(
        _messages.build_listing,
        rules,
        done=done,
        problem=format_error(problem) if problem else None,
        unusable={rule.id for rule in rules} - {rule.id for rule in in_force.rules},
        gone=find_deleted_channels(interaction.guild, {each for rule in rules for each in rule.channel_ids})
        | find_deleted_roles(interaction.guild, {each for rule in rules for each in rule.role_ids}),
    )


async def _rebuild(interaction: Interaction, _: str) -> MessageSpec:
    return await _build_listing(interaction, require_manager(interaction))


LISTS: dict[str, ListBuilder] = {_messages.KEY: _rebuild}
