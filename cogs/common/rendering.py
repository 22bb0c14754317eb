"""From a `MessageSpec` to the objects discord.py sends: a layout, its files, and buttons that outlive a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict

import discord
from discord import ui

from cogs.common.components import PersistentButton, PersistentMenu
from cogs.common.message_limits import fit_message
from cogs.common.messages import Block, Entry, Gallery, Lines, Long, MessageSpec, Picture, Rule
from cogs.common.plain_text import build_files, get_alt_text
from generation.models.previews import read_preview


def create_view() -> ui.LayoutView:
    """Return a view without components. discord.py keeps nothing of it: what is pressed is known by its `custom_id`.

    (A private one it would keep for a quarter of an hour, with a task of its own.)
    """
    view = ui.LayoutView(timeout=None)
    view.stop()
    return view


class New(TypedDict):
    """A message to send: the arguments of discord.py."""

    view: ui.LayoutView
    files: list[discord.File]


class Changed(TypedDict):
    """What a message becomes: the arguments of discord.py."""

    view: ui.LayoutView
    attachments: list[discord.File]


def render_new(say: MessageSpec, page: int = 0) -> New:
    """Return the message as it is sent, within all of Discord's limits."""
    within = _read_pictures(fit_message(say, page))
    return New(view=_build_layout(within), files=build_files(within.pictures()))


def render_edit(say: MessageSpec, page: int = 0) -> Changed:
    """Return the message as it replaces another, within all of Discord's limits."""
    within = _read_pictures(fit_message(say, page))
    return Changed(view=_build_layout(within), attachments=build_files(within.pictures()))


def _read_pictures(say: MessageSpec) -> MessageSpec:
    """Return the message with its previews read from disk. Where one is gone, its text stands alone."""
    return replace(say, blocks=tuple(map(_read_picture, say.blocks)))


def _read_picture(block: Block) -> Block:
    if not isinstance(block, Entry) or isinstance(block.thumbnail, Picture):
        return block
    stored = block.thumbnail
    data = read_preview(stored.path, stored.sha256)
    if data is None:
        return block.text
    return Entry(block.text, Picture(stored.filename, data, stored.alt, is_spoiler=stored.is_spoiler))


def _build_layout(say: MessageSpec) -> ui.LayoutView:
    """Return the message as components."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(say.tone))
    for block in say.blocks:
        container.add_item(_build_item(block))
    for row in say.rows:
        container.add_item(ui.ActionRow(*(PersistentButton.of(button) for button in row)))
    for menu in say.menus:
        container.add_item(ui.ActionRow(PersistentMenu.of(menu)))
    view = create_view()
    view.add_item(container)
    for extra in say.attached:
        view.add_item(ui.File(f"attachment://{extra.filename}", spoiler=extra.is_spoiler))
    return view


def _build_item(block: Block) -> ui.Item[Any]:
    match block:
        case str():
            return ui.TextDisplay(block)
        case Gallery():
            shown = (_build_gallery_item(each) for each in block.pictures)
            return ui.MediaGallery(*shown)
        case Entry():
            small = block.thumbnail
            assert isinstance(small, Picture)  # `_read_pictures` has read it
            thumbnail = ui.Thumbnail[ui.LayoutView](
                _get_uri(small), description=get_alt_text(small), spoiler=small.is_spoiler
            )
            return ui.Section(block.text, accessory=thumbnail)
        case Rule():
            return ui.Separator()
        case Lines() | Long():
            raise TypeError(block)  # `fitted` makes text of them


def _build_gallery_item(picture: Picture) -> discord.MediaGalleryItem:
    return discord.MediaGalleryItem(_get_uri(picture), description=get_alt_text(picture), spoiler=picture.is_spoiler)


def _get_uri(picture: Picture) -> str:
    return f"attachment://{picture.filename}"
