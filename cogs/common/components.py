"""Buttons and menus that outlive a restart: they know nothing but their `custom_id`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import discord
from discord import ui

from cogs.common.custom_ids import PATTERNS, CustomId, Kind
from cogs.common.member_language import get_locale
from cogs.common.messages import Button, Menu, Weight
from cogs.context import Interaction
from cogs.error_handler import answer
from cogs.i18n.gettext import set_language
from generation.errors import UnknownJobError

Payload = dict[str, Any]
"""A component as Discord takes it."""
_BUTTON, _MENU = discord.ComponentType.button.value, discord.ComponentType.select.value
_STYLES = {
    Weight.MAIN: discord.ButtonStyle.primary.value,
    Weight.USUAL: discord.ButtonStyle.secondary.value,
}


class PersistentButton(ui.DynamicItem[ui.Button[ui.LayoutView]], template=PATTERNS[Kind.BUTTON]):
    """Every button of ours. It knows nothing but its `custom_id`, so it works after a restart and for ever."""

    def __init__(self, item: ui.Button[ui.LayoutView], *, action: str, subject: str) -> None:
        super().__init__(item)
        self.action = action
        self.subject = subject

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item, action=match["name"], subject=match["subject"])  # type: ignore[arg-type]

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        """Call the handler of the button. discord.py would only log an exception, and the person would see nothing."""
        set_language(get_locale(interaction))
        try:
            await interaction.client.handle_button(interaction, self.action, self.subject)
        except Exception as error:
            await answer(interaction, error)


class PersistentMenu(ui.DynamicItem[ui.Select[ui.LayoutView]], template=PATTERNS[Kind.MENU]):
    """The menu under a result. What is chosen in it is a button's `custom_id`, and choosing is pressing that button."""

    def __init__(self, item: ui.Select[ui.LayoutView]) -> None:
        super().__init__(item)

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item)  # type: ignore[arg-type]

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        set_language(get_locale(interaction))
        chosen = self._chosen()
        if chosen is None:
            await answer(interaction, UnknownJobError())
            return
        try:
            await interaction.client.handle_button(interaction, chosen.name, chosen.subject)
        except Exception as error:
            await answer(interaction, error)
        if interaction.message is not None:
            await reset_menu(interaction.message)

    def _chosen(self) -> CustomId | None:
        """Return what was chosen; None for a forged value, one that this message does not offer.

        That would press here what belongs under another message, and change this one.
        """
        offered = {option.value for option in self.item.options}
        chosen = next(iter(self.item.values), "")
        parsed = CustomId.parse(chosen) if chosen in offered else None
        return parsed if parsed is not None and parsed.kind is Kind.BUTTON else None


async def reset_menu(message: discord.Message) -> None:
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
            gallery.items = [_keep_attached(item, names) for item in gallery.items]
    with suppress(discord.HTTPException, OSError):
        await message.edit(view=view)


def _keep_attached(item: discord.MediaGalleryItem, names: Mapping[int, str]) -> discord.MediaGalleryItem:
    """Return the same picture by the name of its file: a link to it would end some day."""
    name = names.get(item.media.attachment_id or 0)
    uri = item.media.url if name is None else f"attachment://{name}"
    return discord.MediaGalleryItem(uri, description=item.description, spoiler=item.spoiler)


def build_button(button: Button) -> Payload:
    """Return a button, as discord.py's own would be sent: building that for each edit takes ten times as long."""
    return {
        "type": _BUTTON,
        "style": _STYLES[button.weight],
        "disabled": False,
        "label": button.label,
        "custom_id": build_custom_id(button),
    }


def build_menu(menu: Menu) -> Payload:
    """Return a menu in which one entry is chosen, as discord.py's own would be sent."""
    return {
        "type": _MENU,
        "custom_id": str(CustomId(Kind.MENU, "", menu.subject)),
        "min_values": 1,
        "max_values": 1,
        "disabled": False,
        "required": True,
        "placeholder": menu.placeholder,
        "options": [{"label": each.label, "value": build_custom_id(each), "default": False} for each in menu.buttons],
    }


def build_custom_id(button: Button) -> str:
    return str(CustomId(Kind.BUTTON, button.action, button.subject))


def list_custom_ids(message: discord.Message) -> set[str]:
    """Return the `custom_id` of every button and menu in a message."""
    view = ui.LayoutView.from_message(message) if message.flags.components_v2 else ui.View.from_message(message)
    ids = (getattr(item, "custom_id", None) for item in view.walk_children())
    return {custom_id for custom_id in ids if custom_id}
