"""A message's components as discord.py's own items make them: what those that we build ourselves are compared with."""

from __future__ import annotations

from typing import Any

import discord
from discord import ui

from cogs.common.components import build_custom_id
from cogs.common.custom_ids import CustomId, Kind
from cogs.common.messages import Block, Button, Entry, Gallery, Menu, MessageSpec, Picture, Rule, Weight
from cogs.common.plain_text import get_alt_text

_STYLES = {Weight.MAIN: discord.ButtonStyle.primary, Weight.USUAL: discord.ButtonStyle.secondary}


def build_by_discord(say: MessageSpec) -> list[dict[str, Any]]:
    """Return the components of a message that fits into Discord's limits. discord.py raises for one that does not."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(say.tone))
    for block in say.blocks:
        container.add_item(_build_item(block))
    for row in say.rows:
        container.add_item(ui.ActionRow(*map(_build_button, row)))
    for menu in say.menus:
        container.add_item(ui.ActionRow(_build_menu(menu)))
    view = ui.LayoutView(timeout=None).add_item(container)
    for extra in say.attached:
        view.add_item(ui.File(f"attachment://{extra.filename}", spoiler=extra.is_spoiler))
    components: list[dict[str, Any]] = view.to_components()  # type: ignore[no-untyped-call]
    return components


def _build_button(button: Button) -> ui.Button[ui.LayoutView]:
    return ui.Button(style=_STYLES[button.weight], label=button.label, custom_id=build_custom_id(button))


def _build_menu(menu: Menu) -> ui.Select[ui.LayoutView]:
    options = [discord.SelectOption(label=each.label, value=build_custom_id(each)) for each in menu.buttons]
    custom_id = str(CustomId(Kind.MENU, "", menu.subject))
    return ui.Select(custom_id=custom_id, placeholder=menu.placeholder, options=options)


def _build_item(block: Block) -> ui.Item[Any]:
    match block:
        case str():
            return ui.TextDisplay(block)
        case Gallery():
            return ui.MediaGallery(*map(_build_gallery_item, block.pictures))
        case Entry():
            small = block.thumbnail
            assert isinstance(small, Picture)
            thumbnail = ui.Thumbnail[ui.LayoutView](
                f"attachment://{small.filename}", description=get_alt_text(small), spoiler=small.is_spoiler
            )
            return ui.Section(block.text, accessory=thumbnail)
        case Rule():
            return ui.Separator()
        case _:
            raise TypeError(block)


def _build_gallery_item(picture: Picture) -> discord.MediaGalleryItem:
    uri = f"attachment://{picture.filename}"
    return discord.MediaGalleryItem(uri, description=get_alt_text(picture), spoiler=picture.is_spoiler)
