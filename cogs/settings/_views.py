"""What the settings panel looks like, and the message that sets a new server up. Pure: values in, components out.

discord.py keeps nothing of them: a menu or button is known by its `custom_id` (see `cogs.settings._cog`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import discord
from discord import ui

from cogs.common.custom_ids import CustomId, Kind
from cogs.common.formatting import escape_markdown, format_small
from cogs.common.message_limits import (
    MAX_IN_ROW,
    MAX_OPTION,
    MAX_OPTIONS,
    MAX_PLACEHOLDER,
    MAX_TEXT,
    cut_text,
    measure_text,
)
from cogs.common.messages import MessageSpec, Picture, Tone
from cogs.common.rendering import create_view
from cogs.i18n.gettext import N_, _, format_count
from cogs.settings import _channels as channel_page
from cogs.settings import _styles as style_page
from cogs.settings._field_kinds import NOTHING_INSTALLED, Field, Installed, Of, Option
from cogs.settings._fields import (
    CHANNELS,
    LOG,
    PAGES,
    ROLES,
    SAFETY,
    UPSCALER,
    VISIBILITY,
)
from cogs.settings._notes import NO_LONGER_THERE
from generation.policy.guild_settings import GuildSettings
from generation.requests.style import Style
from generation.translatable import Phrase

PANEL_TITLE = N_("### Settings · {page}")

FIRST_PAGE = "what"
SETUP_PAGE = "hello"
STYLES_PAGE = "styles"
HELLO = N_(
    "### Hello! I paint pictures.\n"
    "Type `/imagine` and describe a picture. The bot is ready to use. Members with “Manage Server” "
    "can change the main settings here, and all settings in `/settings`, `/quota` and `/rules`."
)
FOOT = N_("Quotas: `/quota`. Content rules: `/rules`. Every change takes effect at once.")
SETUP_FIELDS = (CHANNELS, ROLES, SAFETY, VISIBILITY)
TIDY = "tidy"
_READABLE_KINDS = [discord.ChannelType.text, discord.ChannelType.news]
_CHANNEL_KINDS = [*_READABLE_KINDS, discord.ChannelType.forum]
_NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


def list_channel_types(field: Field) -> list[discord.ChannelType]:
    """Return which channels may be chosen: nothing can be told in a forum."""
    return _READABLE_KINDS if field is LOG else _CHANNEL_KINDS


def build_panel_view(
    page: str,
    settings: GuildSettings,
    installed: Installed,
    styles: Sequence[Style],
    *,
    channel_id: int | None = None,
    gone: Mapping[str, Sequence[str]] = _NONE,
    notes: Mapping[str, Sequence[str]] = _NONE,
) -> ui.LayoutView:
    """Return the panel, opened at a page; another one than there is opens the first.

    `channel_id`: the channel whose defaults are shown. By the key of a menu: `gone`, what of its choice is no longer
    there; `notes`, what there is to say of it.
    """
    titles = {key: titled[0] for key, titled in PAGES.items()}
    titles |= {channel_page.PAGE: channel_page.TITLE, STYLES_PAGE: style_page.TITLE}
    page = page if page in titles else FIRST_PAGE
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(Tone.PLAIN))
    head, foot = _(PANEL_TITLE, page=_(titles[page])), format_small(_(FOOT))
    container.add_item(ui.TextDisplay(head))
    if page == STYLES_PAGE:
        _add_styles(container, styles, room=MAX_TEXT - measure_text(head) - measure_text(foot))
    elif page == channel_page.PAGE:
        _add_channels(container, settings, installed, channel_id, gone.get(channel_page.CHOICES, ()))
    else:
        for field in PAGES[page][1]:
            if field is UPSCALER and not (installed.upscalers or field.chosen(settings)):
                continue
            left = [each for each in field.chosen(settings) if each not in gone.get(field.key, ())]
            add_field(container, field, left, page=page, installed=installed, notes=notes.get(field.key, ()))
    container.add_item(ui.Separator())
    tabs = [_build_button(key, "open", _(title), is_on=key == page) for key, title in titles.items()]
    for first in range(0, len(tabs), MAX_IN_ROW):
        container.add_item(ui.ActionRow(*tabs[first : first + MAX_IN_ROW]))
    export, changes = _build_button(page, "export", _("Export")), _build_button(page, "changes", _("Who changed what"))
    is_untidy = page in PAGES and any(field.key in gone for field in PAGES[page][1])
    is_untidy |= page == channel_page.PAGE and channel_page.CHOICES in gone
    tidy = [_build_button(page, TIDY, _("Remove what is gone"))] if is_untidy else []
    container.add_item(ui.ActionRow(export, changes, *tidy))
    container.add_item(ui.TextDisplay(foot))
    view = create_view()
    view.add_item(container)
    return view


def build_export(data: bytes) -> MessageSpec:
    """Return the settings as a file."""
    attached = (Picture("settings.json", data, _("The settings")),)
    return MessageSpec(blocks=(_("### Settings as a file\nTo import them: `/settings file:`."),), attached=attached)


def _add_channels(
    container: ui.Container[Any],
    settings: GuildSettings,
    installed: Installed,
    channel_id: int | None,
    gone: Sequence[str],
) -> None:
    """Add the channel, and what is painted in it; before one is chosen, the list of those that have defaults."""
    if channel_id is None:
        container.add_item(ui.TextDisplay(channel_page.format_list(settings.choices, gone, room=MAX_TEXT // 2)))
    add_field(container, channel_page.CHANNEL, [str(channel_id)] if channel_id else [], page=channel_page.PAGE)
    for field in channel_page.build_fields(channel_id) if channel_id else ():
        chosen = field.chosen(settings)
        away = [each for each in chosen if each not in dict(field.options(installed))]
        notes = [_(NO_LONGER_THERE, listed=f"`{escape_markdown(each, limit=60)}`") for each in away]
        left = [each for each in chosen if each not in away]
        add_field(container, field, left, page=channel_page.PAGE, installed=installed, notes=notes)


def _add_styles(container: ui.Container[Any], styles: Sequence[Style], *, room: int) -> None:
    text, items = style_page.build_items(styles, room=room)
    container.add_item(ui.TextDisplay(text))
    for item in items:
        item.custom_id = f"atelier-set:{STYLES_PAGE}:{item.custom_id}"  # type: ignore[attr-defined]
        container.add_item(ui.ActionRow(item))


def build_setup_view(settings: GuildSettings) -> ui.LayoutView:
    """Return the message; its menus are the panel's own, so each choice is checked in the same way."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(Tone.PLAIN))
    container.add_item(ui.TextDisplay(_(HELLO)))
    for field in SETUP_FIELDS:
        add_field(container, field, list(field.chosen(settings)), page=SETUP_PAGE)
    container.add_item(ui.Separator())
    container.add_item(
        ui.TextDisplay(format_small(_("To set a daily limit for each member: `/quota set limit:20 role:@everyone`.")))
    )
    view = create_view()
    view.add_item(container)
    return view


def add_field(
    container: ui.Container[Any],
    field: Field,
    values: Sequence[str],
    *,
    page: str,
    installed: Installed = NOTHING_INSTALLED,
    notes: Sequence[str] = (),
) -> None:
    """One menu under its title. `values`, which are chosen now and still there, are what the menu shows."""
    title = "\n".join((f"**{_(field.title)}**", *map(format_small, notes)))
    if left_out := list_offered(field, values, installed)[1]:
        title += "\n" + format_small(
            _(
                "{number} more do not fit into this menu. Use `/settings file:` to choose them.",
                number=format_count(left_out),
            )
        )
    menu = _build_menu(field, values, installed)
    if menu is None:
        container.add_item(ui.TextDisplay(title + "\n" + format_small(_("There are no options to choose from."))))
        return
    menu.custom_id = str(CustomId(Kind.SETTING, page, field.key))  # type: ignore[attr-defined]
    container.add_item(ui.TextDisplay(title))
    container.add_item(ui.ActionRow(menu))


def _build_menu(field: Field, values: Sequence[str], installed: Installed) -> ui.Item[Any] | None:
    """Return the menu of a field; None where no model has a name that fits into one."""
    least = 1 if field.is_required else 0
    placeholder = _capitalize(_(field.empty)) if field.empty else f"{_(field.title)} …"
    if field.of is Of.CHANNELS:
        chosen = [
            discord.SelectDefaultValue(id=int(each), type=discord.SelectDefaultValueType.channel) for each in values
        ]
        return ui.ChannelSelect(
            channel_types=list_channel_types(field),
            min_values=least,
            max_values=field.most,
            default_values=chosen,
            placeholder=placeholder,
        )
    if field.of is Of.ROLES:
        named = [discord.SelectDefaultValue(id=int(each), type=discord.SelectDefaultValueType.role) for each in values]
        return ui.RoleSelect(min_values=least, max_values=field.most, default_values=named, placeholder=placeholder)
    offered, _left_out = list_offered(field, values, installed)
    options = [
        discord.SelectOption(label=cut_text(_format_label(label), MAX_OPTION), value=value, default=value in values)
        for label, value in offered
    ]
    if not options:
        return None
    return ui.Select(
        options=options,
        min_values=least,
        max_values=min(field.most, len(options)),
        placeholder=cut_text(placeholder, MAX_PLACEHOLDER),
    )


def list_offered(field: Field, values: Sequence[str], installed: Installed) -> tuple[list[Option], int]:
    """Return what a menu offers, and how many have no room in it. What is chosen is always there.

    That may be something there is no more: a model that is gone, or one that a file named.
    """
    every = {value: label for label, value in field.options(installed) if measure_text(value) <= MAX_OPTION}
    chosen = [value for value in values if value in every]
    gone = [value for value in dict.fromkeys(values) if value not in every and measure_text(value) <= MAX_OPTION]
    shown = {*chosen, *[value for value in every if value not in chosen][: MAX_OPTIONS - len(values)]}
    offered = [(label, value) for value, label in every.items() if value in shown]
    return offered + [(value, value) for value in gone], len(every) - len(shown)


def _format_label(label: str) -> str:
    """Return what an option is called: what we say begins with a capital, and a name stays as it is."""
    return _capitalize(_(label)) if isinstance(label, Phrase) else label


def _capitalize(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _build_button(page: str, key: str, label: str, *, is_on: bool = False) -> ui.Button[Any]:
    style = discord.ButtonStyle.primary if is_on else discord.ButtonStyle.secondary
    return ui.Button(label=label, style=style, custom_id=str(CustomId(Kind.SETTING, page, key)))
