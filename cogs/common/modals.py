"""Forms people fill in (Discord's modals), as plain values; how one is opened, and what came back.

A form holds nothing but its `custom_id`, as a button does: one opened before a restart can be sent after it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import discord
from discord import ui

from cogs.common.message_limits import MAX_TYPED, cut, size
from cogs.common.messages import Action
from cogs.services import Interaction

TITLE_CHARS, LABEL_CHARS, HINT_CHARS = 45, 45, 100
_CUSTOM_ID = re.compile(r"atelier:(?P<action>[a-z]+):(?P<subject>[0-9A-Za-z:]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A line to type, or with `is_long` a box."""

    key: str
    label: str
    value: str = ""
    hint: str | None = None
    is_long: bool = False
    is_required: bool = False
    max_chars: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Some of up to 25 `(name, value)`; none at all is an answer too."""

    key: str
    label: str
    choices: tuple[tuple[str, str], ...]
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to attach, or not."""

    key: str
    label: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One to five questions. `subject`: as a button's."""

    action: Action
    subject: str
    title: str
    fields: tuple[Text | Pick | File, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a form or a message: what Discord says of it. `size` in bytes."""

    url: str = field(repr=False)
    """Signed: who has it has the file, also one that only its owner can see."""
    size: int
    filename: str
    size_px: tuple[int, int] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Attached:
        width, height = data.get("width"), data.get("height")
        size_px = (int(width), int(height)) if width and height else None
        return cls(str(data["url"]), int(data["size"]), str(data["filename"]), size_px)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was filled in, by the key of its field."""

    texts: Mapping[str, str] = field(default_factory=dict)
    picked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, Attached] = field(default_factory=dict)


FormHandler = Callable[[Interaction, str, Answers], Awaitable[None]]
"""What is done with a form that was sent: its subject, and what was filled in."""


async def open_form(interaction: Interaction, form: Form) -> None:
    """Show the form. The answer comes as an interaction of its own: see `read_form`."""
    await interaction.response.send_modal(modal_of(form))


def modal_of(form: Form) -> ui.Modal:
    """Return the form as Discord's modal. discord.py keeps nothing of it."""
    modal = ui.Modal(title=cut(form.title, TITLE_CHARS), custom_id=f"atelier:{form.action}:{form.subject}")
    for each in form.fields:
        label: ui.Label[Any] = ui.Label(
            text=cut(each.label, LABEL_CHARS),
            description=cut(each.hint, HINT_CHARS) if each.hint else None,
            component=_component(each),
        )
        modal.add_item(label)
    modal.stop()  # nothing is kept in memory for it
    return modal


def read_form(interaction: Interaction) -> tuple[str, str, Answers] | None:
    """`(action, subject, answers)` of a form of ours that was sent; None for any other interaction."""
    data: Any = interaction.data
    if interaction.type is not discord.InteractionType.modal_submit or data is None:
        return None
    match = _CUSTOM_ID.fullmatch(str(data.get("custom_id", "")))
    if match is None:
        return None
    attachments = data.get("resolved", {}).get("attachments", {})
    texts: dict[str, str] = {}
    picked: dict[str, tuple[str, ...]] = {}
    files: dict[str, Attached] = {}
    for answer in _answers(data.get("components", [])):
        key, values = str(answer["custom_id"]), answer.get("values")
        if values is None:
            texts[key] = str(answer.get("value") or "")
        elif found := [attachments[each] for each in values if each in attachments]:
            files[key] = Attached.of(found[0])
        else:
            picked[key] = tuple(map(str, values))
    return match["action"], match["subject"], Answers(texts, picked, files)


def _component(each: Text | Pick | File) -> ui.Item[Any]:
    match each:
        case Text():
            style = discord.TextStyle.paragraph if each.is_long else discord.TextStyle.short
            return ui.TextInput(
                custom_id=each.key,
                style=style,
                default=cut(each.value, MAX_TYPED) or None,
                required=each.is_required,
                max_length=min(MAX_TYPED, max(each.max_chars, size(each.value))),  # else what is there would be lost
            )
        case Pick():
            options = [discord.SelectOption(label=name, value=value) for name, value in each.choices]
            return ui.Select(custom_id=each.key, options=options, min_values=0, max_values=len(options), required=False)
        case File():
            return ui.FileUpload(custom_id=each.key, required=False, min_values=0, max_values=1)


def _answers(components: list[Any]) -> Iterator[Any]:
    """The fields of a sent form, out of their labels and rows."""
    for each in components:
        inner = each.get("components") or ([each["component"]] if "component" in each else None)
        if inner is not None:
            yield from _answers(inner)
        elif "custom_id" in each:
            yield each
