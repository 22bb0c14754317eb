"""From a `Say` to the objects discord.py sends: a layout, its files, and buttons that outlive a restart."""

from __future__ import annotations

from typing import Any, TypedDict

import discord
from discord import ui

from cogs.common.components import Choose, Press
from cogs.common.message_limits import fitted
from cogs.common.messages import Block, Entry, Gallery, Lines, Long, Picture, Rule, Say
from cogs.common.plain_text import alt_of, files_of


def empty() -> ui.LayoutView:
    """A message's components, none yet. discord.py keeps nothing of it: what is pressed is known by its `custom_id`.

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


def new(say: Say, page: int = 0) -> New:
    """Return the message as it is sent, within all of Discord's limits."""
    within = fitted(say, page)
    return New(view=_layout(within), files=files_of(within.pictures()))


def changed(say: Say, page: int = 0) -> Changed:
    """Return the message as it replaces another, within all of Discord's limits."""
    within = fitted(say, page)
    return Changed(view=_layout(within), attachments=files_of(within.pictures()))


def _layout(say: Say) -> ui.LayoutView:
    """Return the message as components."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=int(say.tone))
    for block in say.blocks:
        container.add_item(_item(block))
    for row in say.rows:
        container.add_item(ui.ActionRow(*(Press.of(button) for button in row)))
    if say.menu is not None:
        container.add_item(ui.ActionRow(Choose.of(say.menu)))
    view = empty()
    view.add_item(container)
    for extra in say.attached:
        view.add_item(ui.File(f"attachment://{extra.filename}"))
    return view


def _item(block: Block) -> ui.Item[Any]:
    match block:
        case str():
            return ui.TextDisplay(block)
        case Gallery():
            shown = (_gallery_item(each) for each in block.pictures)
            return ui.MediaGallery(*shown)
        case Entry():
            small = block.thumbnail
            thumbnail = ui.Thumbnail[ui.LayoutView](_uri(small), description=alt_of(small), spoiler=small.is_spoiler)
            return ui.Section(block.text, accessory=thumbnail)
        case Rule():
            return ui.Separator()
        case Lines() | Long():
            raise TypeError(block)  # `fitted` makes text of them


def _gallery_item(picture: Picture) -> discord.MediaGalleryItem:
    return discord.MediaGalleryItem(_uri(picture), description=alt_of(picture), spoiler=picture.is_spoiler)


def _uri(picture: Picture) -> str:
    return f"attachment://{picture.filename}"
