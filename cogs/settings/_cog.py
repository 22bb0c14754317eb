"""/settings: one panel for all that a server chooses. Menus hold nothing: each choice is checked when it is applied."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import discord
from discord import app_commands, ui
from discord.ext import commands

from cogs.common.attachments import open_attachment
from cogs.common.checks import build_audit_entry, require_manager, tell_log_channel
from cogs.common.custom_ids import PATTERNS, Kind
from cogs.common.deleted_references import find_deleted, remove_deleted
from cogs.common.errors import ModelsInFileError, NotOfferedError
from cogs.common.forms import Answers
from cogs.common.member_language import get_locale
from cogs.common.message_limits import MAX_OPTIONS
from cogs.common.messages import Action
from cogs.common.policy_checks import fetch_policy, require_lines_allowed
from cogs.common.responses import send_reply
from cogs.context import FormHandler, Interaction
from cogs.error_handler import answer
from cogs.i18n.gettext import N_, get_guild_language, set_language, use_language
from cogs.settings import _channels as channel_page
from cogs.settings import _notes as settings_notes
from cogs.settings import _styles as style_page
from cogs.settings._audit_log import show_changes
from cogs.settings._field_kinds import Field, Installed, Of
from cogs.settings._fields import FIELDS, describe_choice
from cogs.settings._views import (
    FIRST_PAGE,
    SETUP_PAGE,
    STYLES_PAGE,
    TIDY,
    build_export,
    build_panel_view,
    build_setup_view,
    list_channel_types,
)
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.settings_file import MAX_FILE_BYTES, export_settings, read_settings
from generation.translatable import Phrase

CHANGED = N_("changed a setting · {change}")
CHOSEN = N_("{title}: {chosen}")


class SettingsPanel(commands.Cog):
    """Every change is checked here: what Discord shows is only a hint to its client."""

    @app_commands.command(description="Show and change the settings of this server. For managers.")
    @app_commands.describe(file="A file of settings to import, from the Export button.")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    async def settings(self, interaction: Interaction, file: discord.Attachment | None = None) -> None:
        guild_id = require_manager(interaction)
        if file is None:
            view = await build_panel(interaction, FIRST_PAGE)
            await interaction.response.send_message(view=view, ephemeral=True)
            return
        await interaction.response.defer(ephemeral=True)
        services = interaction.client.services
        async with open_attachment(interaction, file, max_bytes=MAX_FILE_BYTES) as data:
            taken = read_settings(data)
        known = {model.name for model in services.generation.catalog.models}
        if unknown := set(taken.choices.models) - known:
            raise ModelsInFileError(models=", ".join(sorted(unknown)))
        styles = taken.styles_of(guild_id)
        for style in styles or ():
            await style_page.require_style_allowed(interaction, style)
        await require_lines_allowed(interaction, taken.choices.word_lists)
        said = Phrase("imported settings from a file")
        entry = build_audit_entry(interaction, said)
        await services.guild_policy.change_settings(guild_id, taken.over, entry, styles=styles)
        await interaction.followup.send(view=await build_panel(interaction, FIRST_PAGE), ephemeral=True)
        await tell_log_channel(interaction, said)


class SettingItem(ui.DynamicItem[ui.Item[ui.LayoutView]], template=PATTERNS[Kind.SETTING]):
    """A menu or button of the panel."""

    def __init__(self, item: ui.Item[ui.LayoutView], *, page: str, key: str) -> None:
        super().__init__(item)
        self.page, self.key = page, key

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item, page=match["name"], key=match["subject"])

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        set_language(get_locale(interaction))
        try:
            await handle_component(interaction, self.page, self.key)
        except Exception as error:
            await answer(interaction, error)


async def handle_component(interaction: Interaction, page: str, key: str) -> None:
    """Handle a menu or button of the panel. Raise `NotAllowedError` for who may not."""
    guild_id = require_manager(interaction)
    if key == "export":
        await _send_export(interaction, guild_id)
    elif key == "changes":
        await show_changes(interaction)
    elif key == TIDY:
        await _remove_gone(interaction, guild_id)
        await interaction.response.edit_message(view=await build_panel(interaction, page))
    elif key == style_page.ADD:
        await style_page.ask_for_style(interaction)
    elif key == style_page.REMOVE:
        for name in _read_values(interaction):
            await style_page.remove_style(interaction, guild_id, name)
        await interaction.response.edit_message(view=await build_panel(interaction, page))
    elif key == channel_page.CHANNEL.key:
        opened = await _read_channel(interaction)
        await interaction.response.edit_message(view=await build_panel(interaction, page, channel_id=opened))
    elif (field := FIELDS.get(key) or channel_page.find_field(key)) is not None:
        values, channel_id = _read_values(interaction), channel_page.find_channel(key)
        await change_setting(interaction, guild_id, field, values)
        await interaction.response.edit_message(view=await build_panel(interaction, page, channel_id=channel_id))
    else:
        await interaction.response.edit_message(view=await build_panel(interaction, page))


async def handle_style_form(interaction: Interaction, subject: str, answers: Answers) -> None:
    """Keep the style of a sent form, and show the page again where it was asked from."""
    await style_page.keep_typed_style(interaction, answers)
    view = await build_panel(interaction, STYLES_PAGE)
    if interaction.message is not None and interaction.message.flags.ephemeral:
        await interaction.response.edit_message(view=view)
    else:  # a forged form: it was not opened under a panel, and the message is not this person's alone
        await interaction.response.send_message(view=view, ephemeral=True)


FORMS: dict[Action, FormHandler] = {Action.STYLE: handle_style_form}


def _read_values(interaction: Interaction) -> list[str]:
    data: Any = interaction.data
    return [str(each) for each in data.get("values", [])]


async def change_setting(interaction: Interaction, guild_id: int, field: Field, values: Sequence[str]) -> None:
    """Apply one choice, record it, and tell the log channel. Raise `InvalidRequestError` for what cannot be chosen."""
    services = interaction.client.services
    installed = await _fetch_installed(interaction)
    title = field.title if isinstance(field.title, Phrase) else Phrase(field.title)
    if not _offers(interaction, field, values, installed):
        raise NotOfferedError(title=title)
    said = Phrase(CHOSEN, title=title, chosen=describe_choice(field, values, installed))
    before, after = await services.guild_policy.change_settings(
        guild_id, lambda old: field.change(old, values), build_audit_entry(interaction, said)
    )
    if after != before:
        await tell_log_channel(interaction, Phrase(CHANGED, change=said))


async def _remove_gone(interaction: Interaction, guild_id: int) -> None:
    """Take out of the choices what was deleted or removed."""
    installed = await _fetch_installed(interaction)
    said = Phrase("removed deleted channels, roles and models from the settings")
    before, after = await interaction.client.services.guild_policy.change_settings(
        guild_id,
        lambda old: remove_deleted(old, _find_gone(interaction, old.choices, installed)),
        build_audit_entry(interaction, said),
    )
    if after != before:
        await tell_log_channel(interaction, said)


async def _fetch_installed(interaction: Interaction) -> Installed:
    services, policy = interaction.client.services, await fetch_policy(interaction)
    catalog, styles = services.generation.catalog, await services.styles.fetch_all(interaction.guild_id or 0)
    forum = interaction.guild and interaction.guild.get_channel(policy.choices.share_channel_id)
    tags = forum.available_tags if isinstance(forum, discord.ForumChannel) else ()
    return Installed(
        models=[model.name for model in catalog.models],
        upscalers=[each.name for each in catalog.default.upscalers],
        styles=[style.name for style in styles],
        tags=[(tag.name, str(tag.id)) for tag in tags[:MAX_OPTIONS]],
    )


async def _read_channel(interaction: Interaction) -> int:
    """Return the channel that was chosen. Raise `NotOfferedError` if it is none of this server."""
    values, field = _read_values(interaction), channel_page.CHANNEL
    if not _offers(interaction, field, values, await _fetch_installed(interaction)):
        raise NotOfferedError(title=Phrase(field.title))
    return int(values[0])


def _find_gone(interaction: Interaction, choices: GuildPreferences, installed: Installed) -> dict[str, tuple[str, ...]]:
    return find_deleted(choices, interaction.guild, installed.models, upscalers=installed.upscalers)


def _offers(interaction: Interaction, field: Field, values: Sequence[str], installed: Installed) -> bool:
    """Return whether a menu offers this choice: what is chosen is only words until it is looked up in this server."""
    if not int(field.is_required) <= len(values) <= field.most or interaction.guild is None:
        return False
    if (channel_id := channel_page.find_channel(field.key)) is not None and interaction.guild.get_channel(
        channel_id
    ) is None:
        return False
    if field.of is Of.OPTIONS:
        return set(values) <= {value for _, value in field.options(installed)}
    if not all(value.isascii() and value.isdecimal() and len(value) <= 20 for value in values):
        return False
    if field.of is Of.ROLES:
        return all(interaction.guild.get_role(int(value)) is not None for value in values)
    channels = [interaction.guild.get_channel(int(value)) for value in values]
    return all(channel is not None and channel.type in list_channel_types(field) for channel in channels)


async def build_panel(interaction: Interaction, page: str, *, channel_id: int | None = None) -> ui.LayoutView:
    """Return the panel, opened at a page, as of now. `channel_id`: the channel whose defaults are shown."""
    services, guild_id = interaction.client.services, interaction.guild_id or 0
    settings = await services.guilds.fetch(guild_id)
    if page == SETUP_PAGE:  # a message that everybody reads
        with use_language(get_guild_language(settings.choices.language, interaction.guild_locale)):
            return build_setup_view(settings)
    installed = await _fetch_installed(interaction)
    styles = await services.styles.fetch_all(guild_id) if page == STYLES_PAGE else ()
    gone = _find_gone(interaction, settings.choices, installed)
    notes = {
        key: settings_notes.list_notes(field, settings, gone.get(key, ()), interaction.guild)
        for key, field in FIELDS.items()
    }
    return build_panel_view(page, settings, installed, styles, channel_id=channel_id, gone=gone, notes=notes)


async def _send_export(interaction: Interaction, guild_id: int) -> None:
    settings = await interaction.client.services.guilds.fetch(guild_id)
    styles = await interaction.client.services.styles.fetch_all(guild_id)
    await send_reply(interaction, build_export(export_settings(settings, styles)))
