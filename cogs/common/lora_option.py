"""The options `lora` and `clip_skip` of the commands that paint, and what is offered while typing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from discord import app_commands

from cogs.common.member_defaults import fetch_chosen_model
from cogs.common.message_limits import MAX_OPTION, MAX_OPTIONS, cut_text, measure_text
from cogs.context import Interaction
from generation.requests.lora_option import complete_loras

ADDITIONS = {
    "lora": "Up to four LoRA, with weights from -2 to 2: name:0.8, name2. See /loras.",
    "clip_skip": "Which layer of the text encoder is used, counted from the end. Default: 1.",
}
_MAX_TYPED = 500
_MIN_NOTE = 8


class LoraOption(app_commands.Transformer[Any]):
    """LoRA by name, `neon:0.8, ink`; the last one is completed while typing. Stays text: which model it is for, is
    known by the command."""

    @property
    def max_value(self) -> int:
        return _MAX_TYPED

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        return build_choices(complete_loras(await fetch_chosen_model(interaction), value))


def build_choices(completed: Iterable[tuple[str, str]]) -> list[app_commands.Choice[str]]:
    """Return what Discord takes of it: the text, and in brackets as much of its note as has room. Text is never cut."""
    fitting = ((text, note) for text, note in completed if measure_text(text) <= MAX_OPTION)
    return [app_commands.Choice(name=_label(text, note), value=text) for text, note in islice(fitting, MAX_OPTIONS)]


def _label(text: str, note: str) -> str:
    """Return `neon [glow, pink]`. In brackets, for it becomes part of the text where a person goes on typing."""
    room = MAX_OPTION - measure_text(text) - len(" []")
    if not note or room < _MIN_NOTE:
        return text
    return f"{text} [{cut_text(note.replace('[', '(').replace(']', ')'), room)}]"
