"""/settings: one panel for all that a server chooses. Menus hold nothing: each choice is checked and applied anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import discord
from discord import app_commands, ui
from discord.ext import commands

from cogs import style_page
from cogs.errors import answer
from cogs.form import Answers, FormHandler
from cogs.language import N_, _, in_words, of_place, speak, speaking
from cogs.managing import require_manager, tell_log_channel
from cogs.paper import empty, files, layout
from cogs.say import Action, Picture, Say, Tone
from cogs.services import Interaction
from cogs.settings_fields import CHANNELS, FIELDS, PAGES, ROLES, SAFETY, VISIBILITY, Field, Of, described
from cogs.uploads import fetched
from cogs.words import escaped, small
from db.trail import Entry
from generation.errors import InvalidRequest
from generation.guild import GuildSettings
from generation.phrase import Phrase
from generation.settings_file import MAX_FILE_BYTES, export_settings, read_settings

TEMPLATE = re.compile(r"atelier-set:(?P<page>[a-z]+):(?P<key>[a-z_]+)")
FIRST_PAGE = "what"
NUM_CHANGES = 15
SETUP_PAGE = "hello"
STYLES_PAGE = "styles"
HELLO = N_(
    "### Hello! I paint.\n"
    "Type `/imagine` and say what. Everything works as it is; whoever may manage this server can choose here, "
    "and everything else in `/settings`, `/quota` and `/rules`."
)
SETUP_FIELDS = (CHANNELS, ROLES, SAFETY, VISIBILITY)
_CHANNEL_KINDS = [discord.ChannelType.text, discord.ChannelType.news, discord.ChannelType.forum]


class SettingsPanel(commands.Cog):
    """Every change is checked here: what Discord shows is only a hint to its client."""

    @app_commands.command(description="What this server has chosen, to look at and to change. For managers.")
    @app_commands.describe(file="Settings to take over: what the panel's Export gave.")
    @app_commands.guild_only()
    @app_commands.default_permissions(manage_guild=True)
    async def settings(self, interaction: Interaction, file: discord.Attachment | None = None) -> None:
        guild_id = require_manager(interaction)
        if file is None:
            view = await panel(interaction, FIRST_PAGE)
            await interaction.response.send_message(view=view, ephemeral=True)
            return
        await interaction.response.defer(ephemeral=True)
        services = interaction.client.services
        async with fetched(interaction, file, max_bytes=MAX_FILE_BYTES) as data:
            taken = read_settings(data)
        known = {model.name for model in services.studio.catalog.models}
        if unknown := set(taken.choices.models) - known:
            problem = Phrase("names models that are not here: {models}.", models=", ".join(sorted(unknown)))
            raise InvalidRequest(what=Phrase("The file"), problem=problem)
        styles = taken.styles_of(guild_id)
        for style in styles or ():
            await style_page.require_style_allowed(interaction, style)
        said = Phrase("took over settings from a file")
        entry = Entry(interaction.user.id, said)
        await services.governance.change_settings(guild_id, taken.over, entry, styles=styles)
        await interaction.followup.send(view=await panel(interaction, FIRST_PAGE), ephemeral=True)
        await tell_log_channel(interaction, said)


class SettingItem(ui.DynamicItem[ui.Item[ui.LayoutView]], template=TEMPLATE):
    """A menu or button of the panel."""

    def __init__(self, item: ui.Item[ui.LayoutView], *, page: str, key: str) -> None:
        super().__init__(item)
        self.page, self.key = page, key

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item, page=match["page"], key=match["key"])

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        speak(interaction.locale)
        try:
            await used(interaction, self.page, self.key)
        except Exception as error:
            await answer(interaction, error)


async def used(interaction: Interaction, page: str, key: str) -> None:
    """A menu was chosen from, or a button pressed. Raises `NotAllowed` for who may not."""
    guild_id = require_manager(interaction)
    if key == "export":
        await _export(interaction, guild_id)
    elif key == "changes":
        await _show_changes(interaction, guild_id)
    elif key == style_page.ADD:
        await style_page.ask_for_style(interaction)
    elif key == style_page.REMOVE:
        for name in _values(interaction):
            await style_page.remove_style(interaction, guild_id, name)
        await interaction.response.edit_message(view=await panel(interaction, page))
    elif key in FIELDS:
        values = _values(interaction)
        await change(interaction, guild_id, FIELDS[key], values)
        await interaction.response.edit_message(view=await panel(interaction, page))
    else:
        await interaction.response.edit_message(view=await panel(interaction, page))


async def sent_style(interaction: Interaction, subject: str, answers: Answers) -> None:
    """The form behind “Add a style” was sent: keep it, and show the page anew where it was asked from."""
    await style_page.keep_typed_style(interaction, answers)
    view = await panel(interaction, STYLES_PAGE)
    if interaction.message is not None and interaction.message.flags.ephemeral:
        await interaction.response.edit_message(view=view)
    else:  # a forged form: it was not opened under a panel, and the message is not this person's alone
        await interaction.response.send_message(view=view, ephemeral=True)


FORMS: dict[Action, FormHandler] = {Action.STYLE: sent_style}


def _values(interaction: Interaction) -> list[str]:
    data: Any = interaction.data
    return [str(each) for each in data.get("values", [])]


async def change(interaction: Interaction, guild_id: int, field: Field, values: Sequence[str]) -> None:
    """Apply one choice, record it, and tell the log channel. Raises `InvalidRequest` for what cannot be chosen."""
    services = interaction.client.services
    models = [model.name for model in services.studio.catalog.models]
    if not _offers(interaction, field, values, models):
        raise InvalidRequest(what=Phrase(field.title), problem=Phrase("cannot be that. Choose from the menu."))
    said = Phrase("{title}: {chosen}", title=Phrase(field.title), chosen=described(field, values, models))
    before, after = await services.governance.change_settings(
        guild_id, lambda old: field.change(old, values), Entry(interaction.user.id, said)
    )
    if after != before:
        await tell_log_channel(interaction, Phrase("changed a setting · {change}", change=said))


def _offers(interaction: Interaction, field: Field, values: Sequence[str], models: Sequence[str]) -> bool:
    """Return whether a menu offers this choice: what is chosen is only words until it is looked up in this server."""
    if not int(field.is_required) <= len(values) <= field.most or interaction.guild is None:
        return False
    if field.of is Of.OPTIONS:
        return set(values) <= {value for _, value in field.options(models)}
    find = interaction.guild.get_channel if field.of is Of.CHANNELS else interaction.guild.get_role
    return all(value.isdecimal() and len(value) <= 20 and find(int(value)) is not None for value in values)


async def panel(interaction: Interaction, page: str) -> ui.LayoutView:
    """The panel, opened at a page, as of now."""
    services = interaction.client.services
    settings = await services.guilds.fetch(interaction.guild_id or 0)
    if page == SETUP_PAGE:  # a message that everybody reads
        with speaking(of_place(settings.choices.language, interaction.guild_locale)):
            return setup(settings)
    models = [model.name for model in services.studio.catalog.models]
    titles = {key: titled[0] for key, titled in PAGES.items()} | {STYLES_PAGE: style_page.TITLE}
    page = page if page in titles else FIRST_PAGE
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(Tone.PLAIN))
    container.add_item(ui.TextDisplay(_("### Settings · {page}", page=_(titles[page]))))
    if page == STYLES_PAGE:
        await _add_styles(container, interaction)
    else:
        for field in PAGES[page][1]:
            add_field(container, field, settings, page=page, models=models)
    container.add_item(ui.Separator())
    tabs = [(key, _(title), key == page) for key, title in titles.items()]
    container.add_item(ui.ActionRow(*(_button(key, "open", title, is_on=is_on) for key, title, is_on in tabs)))
    export, changes = _button(page, "export", _("Export")), _button(page, "changes", _("Who changed what"))
    container.add_item(ui.ActionRow(export, changes))
    container.add_item(
        ui.TextDisplay(small(_("Quotas: `/quota`. Content rules: `/rules`. Every change holds at once.")))
    )
    view = empty()
    view.add_item(container)
    return view


async def _add_styles(container: ui.Container[Any], interaction: Interaction) -> None:
    text, items = await style_page.items(interaction, interaction.guild_id or 0)
    container.add_item(ui.TextDisplay(text))
    for item in items:
        key = item.custom_id  # type: ignore[attr-defined]
        item.custom_id = f"atelier-set:{STYLES_PAGE}:{key}"  # type: ignore[attr-defined]
        container.add_item(ui.ActionRow(SettingItem(item, page=STYLES_PAGE, key=key)))


def setup(settings: GuildSettings) -> ui.LayoutView:
    """The message; its menus are the panel's own, so each choice is checked in the same way."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(Tone.PLAIN))
    container.add_item(ui.TextDisplay(_(HELLO)))
    for field in SETUP_FIELDS:
        add_field(container, field, settings, page=SETUP_PAGE, models=())
    container.add_item(ui.Separator())
    container.add_item(ui.TextDisplay(small(_("A limit a day for everyone: `/quota set limit:20 role:@everyone`."))))
    view = empty()
    view.add_item(container)
    return view


def add_field(
    container: ui.Container[Any], field: Field, settings: GuildSettings, *, page: str, models: Sequence[str]
) -> None:
    """One menu under its title. What is chosen now is what the menu shows."""
    values = list(field.chosen(settings))
    container.add_item(ui.TextDisplay(f"**{_(field.title)}**"))
    menu = _menu(field, values, models)
    menu.custom_id = f"atelier-set:{page}:{field.key}"  # type: ignore[attr-defined]
    container.add_item(ui.ActionRow(SettingItem(menu, page=page, key=field.key)))


def _menu(field: Field, values: Sequence[str], models: Sequence[str]) -> ui.Item[Any]:
    least = 1 if field.is_required else 0
    placeholder = _capital(_(field.empty)) if field.empty else f"{_(field.title)} …"
    if field.of is Of.CHANNELS:
        chosen = [
            discord.SelectDefaultValue(id=int(each), type=discord.SelectDefaultValueType.channel) for each in values
        ]
        return ui.ChannelSelect(
            channel_types=_CHANNEL_KINDS,
            min_values=least,
            max_values=field.most,
            default_values=chosen,
            placeholder=placeholder,
        )
    if field.of is Of.ROLES:
        named = [discord.SelectDefaultValue(id=int(each), type=discord.SelectDefaultValueType.role) for each in values]
        return ui.RoleSelect(min_values=least, max_values=field.most, default_values=named, placeholder=placeholder)
    offered = dict.fromkeys((*field.options(models), *((value, value) for value in _missing(field, values, models))))
    options = [
        discord.SelectOption(label=_label(label)[:100], value=value, default=value in values)
        for label, value in offered
    ]
    return ui.Select(
        options=options, min_values=least, max_values=min(field.most, len(options)), placeholder=placeholder[:150]
    )


def _label(label: str) -> str:
    """What an option is called: what we say begins with a capital, and a name stays as it is."""
    return _capital(_(label)) if isinstance(label, Phrase) else label


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _missing(field: Field, values: Sequence[str], models: Sequence[str]) -> list[str]:
    """What is chosen but not offered: taken over from a file, or a model that is gone."""
    offered = {value for _, value in field.options(models)}
    return [value for value in values if value not in offered]


def _button(page: str, key: str, label: str, *, is_on: bool = False) -> SettingItem:
    style = discord.ButtonStyle.primary if is_on else discord.ButtonStyle.secondary
    button: ui.Button[ui.LayoutView] = ui.Button(label=label, style=style, custom_id=f"atelier-set:{page}:{key}")
    return SettingItem(button, page=page, key=key)


async def _export(interaction: Interaction, guild_id: int) -> None:
    settings = await interaction.client.services.guilds.fetch(guild_id)
    styles = await interaction.client.services.styles.fetch_all(guild_id)
    attached = (Picture("settings.json", export_settings(settings, styles), _("The settings")),)
    say = Say(blocks=(_("### Settings as a file\nTake them over with `/settings file:`."),), attached=attached)
    await interaction.response.send_message(view=layout(say), files=files(say), ephemeral=True)


async def _show_changes(interaction: Interaction, guild_id: int) -> None:
    changes = await interaction.client.services.governance.fetch_changes(guild_id, limit=NUM_CHANGES)
    lines = [
        " · ".join(
            (
                f"<t:{int(each.at.timestamp())}:R>",
                f"<@{each.user_id}>" if each.user_id else _("somebody since erased"),
                escaped(in_words(each.text), limit=150),
            )
        )
        for each in changes
    ]
    say = Say(blocks=(_("### Who changed what"), "\n".join(lines) or _("Nothing was changed yet.")))
    await interaction.response.send_message(view=layout(say), ephemeral=True)
