"""Forms as Discord's modals: open one, and read what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import discord
from discord import ui

from cogs.common.custom_ids import CustomId, Kind
from cogs.common.forms import Answers, Attached, Choice, Field, File, Form, Pick, Text
from cogs.common.message_limits import MAX_TYPED, cut_text, measure_text
from cogs.context import Interaction

TITLE_CHARS, LABEL_CHARS, HINT_CHARS, OPTION_CHARS = 45, 45, 100, 100


async def open_form(interaction: Interaction, form: Form) -> None:
    """Show the form. The answer comes as an interaction of its own: see `read_form`."""
    await interaction.response.send_modal(build_modal(form))


def build_modal(form: Form) -> ui.Modal:
    """Return the form as Discord's modal. discord.py keeps nothing of it."""
    modal = ui.Modal(
        title=cut_text(form.title, TITLE_CHARS), custom_id=str(CustomId(Kind.BUTTON, form.action, form.subject))
    )
    for each in form.fields:
        label: ui.Label[Any] = ui.Label(
            text=cut_text(each.label, LABEL_CHARS),
            description=cut_text(each.hint, HINT_CHARS) if each.hint else None,
            component=_build_component(each),
        )
        modal.add_item(label)
    modal.stop()  # nothing is kept in memory for it
    return modal


def read_form(interaction: Interaction) -> tuple[str, str, Answers] | None:
    """Return `(action, subject, answers)` of a form of ours that was sent; None for any other interaction."""
    data: Any = interaction.data
    if interaction.type is not discord.InteractionType.modal_submit or data is None:
        return None
    custom_id = CustomId.parse(str(data.get("custom_id", "")))
    if custom_id is None or custom_id.kind is not Kind.BUTTON:
        return None
    attachments = data.get("resolved", {}).get("attachments", {})
    texts: dict[str, str] = {}
    picked: dict[str, tuple[str, ...]] = {}
    files: dict[str, Attached] = {}
    for answer in _list_answers(data.get("components", [])):
        key, values = str(answer["custom_id"]), answer.get("values")
        if values is None:
            texts[key] = str(answer.get("value") or "")
        elif found := [attachments[each] for each in values if each in attachments]:
            files[key] = Attached.of(found[0])
        else:
            picked[key] = tuple(map(str, values))
    return custom_id.name, custom_id.subject, Answers(texts, picked, files)


def _build_component(each: Field) -> ui.Item[Any]:
    match each:
        case Text():
            style = discord.TextStyle.paragraph if each.is_long else discord.TextStyle.short
            return ui.TextInput(
                custom_id=each.key,
                style=style,
                default=cut_text(each.value, MAX_TYPED) or None,
                required=each.is_required,
                max_length=min(
                    MAX_TYPED, max(each.max_chars, measure_text(each.value))
                ),  # else what is there would be lost
            )
        case Pick():
            boxes = [discord.CheckboxGroupOption(label=name, value=value) for name, value in each.choices]
            return ui.CheckboxGroup(
                custom_id=each.key, options=boxes, min_values=0, max_values=len(boxes), required=False
            )
        case Choice():
            radios = [
                discord.RadioGroupOption(label=cut_text(name, OPTION_CHARS), value=value, default=value == each.value)
                for name, value in each.choices
            ]
            return ui.RadioGroup(custom_id=each.key, options=radios)
        case File():
            return ui.FileUpload(custom_id=each.key, required=False, min_values=0, max_values=1)


def _list_answers(components: list[Any]) -> Iterator[Any]:
    """Return the fields of a sent form, out of their labels and rows."""
    for each in components:
        inner = each.get("components") or ([each["component"]] if "component" in each else None)
        if inner is not None:
            yield from _list_answers(inner)
        elif "custom_id" in each:
            yield each
