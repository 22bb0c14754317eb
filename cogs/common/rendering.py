"""From a `Say` to the objects discord.py sends: a layout, its files, and buttons that outlive a restart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self, TypedDict

import discord
from discord import ui

from cogs.common.message_limits import fitted
from cogs.common.messages import Block, Button, Entry, Gallery, Lines, Long, Menu, Picture, Rule, Say, Weight
from cogs.common.plain_text import alt_of, files_of
from cogs.error_handler import answer
from cogs.i18n.gettext import speak
from cogs.services import Interaction
from generation.errors import UnknownJob

PREFIX = "atelier:"
MENU_PREFIX = "atelier-menu:"
_STYLES = {
    Weight.MAIN: discord.ButtonStyle.primary,
    Weight.USUAL: discord.ButtonStyle.secondary,
}


class Press(
    ui.DynamicItem[ui.Button[ui.LayoutView]], template=r"atelier:(?P<action>[a-z]+):(?P<subject>[0-9A-Za-z:]*)"
):
    """Every button of ours. It knows nothing but its `custom_id`, so it works after a restart and for ever."""

    def __init__(self, item: ui.Button[ui.LayoutView], *, action: str, subject: str) -> None:
        super().__init__(item)
        self.action = action
        self.subject = subject

    @classmethod
    def of(cls, button: Button) -> Self:
        item: ui.Button[ui.LayoutView] = ui.Button(
            style=_STYLES[button.weight],
            label=button.label,
            custom_id=f"{PREFIX}{button.action}:{button.subject}",
        )
        return cls(item, action=button.action, subject=button.subject)

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item, action=match["action"], subject=match["subject"])  # type: ignore[arg-type]

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        """Hand the press to whoever does that. discord.py would only log an exception, and the person see nothing."""
        speak(interaction.locale)
        try:
            await interaction.client.pressed(interaction, self.action, self.subject)
        except Exception as error:
            await answer(interaction, error)


class Choose(ui.DynamicItem[ui.Select[ui.LayoutView]], template=r"atelier-menu:(?P<subject>[0-9A-Za-z:]*)"):
    """The menu under a result. What is chosen in it is a button's `custom_id`, and choosing is pressing that button."""

    def __init__(self, item: ui.Select[ui.LayoutView]) -> None:
        super().__init__(item)

    @classmethod
    def of(cls, menu: Menu) -> Self:
        options = [
            discord.SelectOption(label=each.label, value=f"{PREFIX}{each.action}:{each.subject}")
            for each in menu.buttons
        ]
        custom_id = f"{MENU_PREFIX}{menu.subject}"
        return cls(ui.Select(custom_id=custom_id, placeholder=menu.placeholder, options=options))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item)  # type: ignore[arg-type]

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        speak(interaction.locale)
        chosen = self._chosen()
        if chosen is None:
            await answer(interaction, UnknownJob())
            return
        try:
            await interaction.client.pressed(interaction, chosen["action"], chosen["subject"])
        except Exception as error:
            await answer(interaction, error)
        if interaction.message is not None:
            await put_back(interaction.message)

    def _chosen(self) -> re.Match[str] | None:
        """Return what was chosen; None for a forged value, one that this message does not offer.

        That would press here what belongs under another message, and change this one.
        """
        offered = {option.value for option in self.item.options}
        chosen = next(iter(self.item.values), "")
        return Press.__discord_ui_compiled_template__.fullmatch(chosen) if chosen in offered else None


async def put_back(message: discord.Message) -> None:
    """Have a message's menu show no choice again, by changing the message to what it is. Best effort.

    Discord's client goes on showing what was chosen until the message changes, and sends nothing when the same is
    chosen once more. A private message can be changed with its own token only, which is gone.
    """
    if message.flags.ephemeral:
        return
    view = ui.LayoutView.from_message(message, timeout=None)
    view.stop()
    names = {file.id: file.filename for file in message.attachments}
    for gallery in view.walk_children():
        if isinstance(gallery, ui.MediaGallery):
            gallery.items = [_still_attached(item, names) for item in gallery.items]
    with suppress(discord.HTTPException, OSError):
        await message.edit(view=view)


def _still_attached(item: discord.MediaGalleryItem, names: Mapping[int, str]) -> discord.MediaGalleryItem:
    """The same picture by the name of its file: a link to it would end some day."""
    name = names.get(item.media.attachment_id or 0)
    uri = item.media.url if name is None else f"attachment://{name}"
    return discord.MediaGalleryItem(uri, description=item.description, spoiler=item.spoiler)


def is_ours(custom_id: str) -> bool:
    """Whether some `Press` or `Choose` will hear of this component."""
    templates = (Press.__discord_ui_compiled_template__, Choose.__discord_ui_compiled_template__)
    return any(template.fullmatch(custom_id) is not None for template in templates)


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


def custom_ids(message: discord.Message) -> set[str]:
    """The `custom_id` of every button and menu in a message."""
    view = ui.LayoutView.from_message(message) if message.flags.components_v2 else ui.View.from_message(message)
    ids = (getattr(item, "custom_id", None) for item in view.walk_children())
    return {custom_id for custom_id in ids if custom_id}


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
