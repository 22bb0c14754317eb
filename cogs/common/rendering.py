"""From a `MessageSpec` to what discord.py sends: its components as Discord takes them, and its files."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import discord
from discord import ComponentType, ui

from cogs.common.components import Payload, build_button, build_menu
from cogs.common.message_limits import fit_message
from cogs.common.messages import Block, Entry, Gallery, Lines, Long, MessageSpec, Picture, Rule
from cogs.common.plain_text import build_files, get_alt_text
from generation.models.previews import read_preview

_CONTAINER, _ROW, _TEXT = (
    ComponentType.container.value,
    ComponentType.action_row.value,
    ComponentType.text_display.value,
)
_GALLERY, _SECTION, _THUMBNAIL = (
    ComponentType.media_gallery.value,
    ComponentType.section.value,
    ComponentType.thumbnail.value,
)
_SEPARATOR, _FILE = ComponentType.separator.value, ComponentType.file.value


def create_view() -> ui.LayoutView:
    """Return a view without components. discord.py keeps nothing of it: what is pressed is known by its `custom_id`.

    (A private one it would keep for a quarter of an hour, with a task of its own.)
    """
    view = ui.LayoutView(timeout=None)
    view.stop()
    return view


class Rendered(ui.LayoutView):
    """A view of which discord.py needs no more than its components.

    Its own items are not built: that took most of the time of an edit, and each edit has all of them.
    """

    timeout = None

    def __init__(self, components: list[Payload]) -> None:
        self._components = components

    def to_components(self) -> list[Payload]:
        return self._components

    def has_components_v2(self) -> bool:
        return True

    def is_dispatchable(self) -> bool:
        return False

    def is_finished(self) -> bool:
        """Say that discord.py has nothing to keep of it."""
        return True

    def add_row(self, row: ui.ActionRow[ui.LayoutView]) -> None:
        """Add a row of other buttons, at the end of the message's container."""
        self._components[0]["components"].append(row.to_component_dict())


class New(TypedDict):
    """A message to send: the arguments of discord.py."""

    view: Rendered
    files: list[discord.File]


class Changed(TypedDict):
    """What a message becomes: the arguments of discord.py."""

    view: Rendered
    attachments: list[discord.File]


def render_new(say: MessageSpec, page: int = 0) -> New:
    """Return the message as it is sent, within all of Discord's limits."""
    within = _read_pictures(fit_message(say, page))
    return New(view=Rendered(_build_components(within)), files=build_files(within.pictures()))


def render_edit(say: MessageSpec, page: int = 0) -> Changed:
    """Return the message as it replaces another, within all of Discord's limits."""
    within = _read_pictures(fit_message(say, page))
    return Changed(view=Rendered(_build_components(within)), attachments=build_files(within.pictures()))


def _read_pictures(say: MessageSpec) -> MessageSpec:
    """Return the message with its previews read from disk. Where one is gone, its text stands alone."""
    if not any(isinstance(block, Entry) for block in say.blocks):
        return say
    return replace(say, blocks=tuple(map(_read_picture, say.blocks)))


def _read_picture(block: Block) -> Block:
    if not isinstance(block, Entry) or isinstance(block.thumbnail, Picture):
        return block
    stored = block.thumbnail
    data = read_preview(stored.path, stored.sha256)
    if data is None:
        return block.text
    return Entry(block.text, Picture(stored.filename, data, stored.alt, is_spoiler=stored.is_spoiler))


def _build_components(say: MessageSpec) -> list[Payload]:
    """Return the message as components, each with all that discord.py's own would be sent with."""
    parts = [_build_block(block) for block in say.blocks]
    parts += [_build_row([build_button(button) for button in row]) for row in say.rows]
    parts += [_build_row([build_menu(menu)]) for menu in say.menus]
    container = {"type": _CONTAINER, "accent_color": int(say.tone), "spoiler": False, "components": parts}
    files = ({"type": _FILE, "file": {"url": _get_uri(each)}, "spoiler": each.is_spoiler} for each in say.attached)
    return [container, *files]


def _build_row(parts: list[Payload]) -> Payload:
    return {"type": _ROW, "components": parts}


def _build_block(block: Block) -> Payload:
    match block:
        case str():
            return _build_text(block)
        case Gallery():
            return {"type": _GALLERY, "items": [_build_picture(each) for each in block.pictures]}
        case Entry():
            assert isinstance(block.thumbnail, Picture)  # `_read_pictures` has read it
            thumbnail = {"type": _THUMBNAIL, "description": None, **_build_picture(block.thumbnail)}
            return {"type": _SECTION, "components": [_build_text(block.text)], "accessory": thumbnail}
        case Rule():
            return {"type": _SEPARATOR, "divider": True, "spacing": discord.SeparatorSpacing.small.value}
        case Lines() | Long():
            raise TypeError(block)  # `fit_message` makes text of them


def _build_text(text: str) -> Payload:
    return {"type": _TEXT, "content": text}


def _build_picture(picture: Picture) -> Payload:
    """Return the file to show, with the text for those who cannot see it."""
    alt = get_alt_text(picture)
    return {"media": {"url": _get_uri(picture)}, "spoiler": picture.is_spoiler, **({"description": alt} if alt else {})}


def _get_uri(picture: Picture) -> str:
    return f"attachment://{picture.filename}"
