"""Styles in the settings panel: looked at, added by a form, taken away from a menu; each change is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from cogs.common.checks import build_audit_entry, require_manager, tell_log_channel
from cogs.common.formatting import format_small
from cogs.common.forms import Answers, Form, Text
from cogs.common.message_limits import MAX_OPTIONS, NOTE_ROOM, count_fitting
from cogs.common.messages import Action
from cogs.common.modals import open_form
from cogs.common.policy_checks import require_words_allowed
from cogs.common.transformers import clean_typed_prompt
from cogs.context import Interaction
from cogs.i18n.gettext import N_, _
from cogs.settings._style_messages import format_style
from generation.errors import InvalidRequestError
from generation.models.catalog import Model
from generation.requests.prompt import MAX_PROMPT_CHARS
from generation.requests.prompt_addons import read_prompts
from generation.requests.style import MAX_NAME_CHARS, Style
from generation.rules.folding import words_of_name
from generation.safety.minor_safety import protection
from generation.translatable import Phrase

TITLE = N_("Styles")
KEPT = N_("saved the style “{name}”")
NONE_YET = N_("There are no styles yet. Members choose a style with `/imagine style:`.")
REMOVE, ADD = "style_remove", "style_add"
_NAME, _PROMPT, _NEGATIVE = "name", "prompt", "negative"


async def require_style_allowed(interaction: Interaction, style: Style) -> None:
    """Raise `Refused` for a style whose name or words could not be asked for here."""
    protection().require_harmless((f"{words_of_name(style.name)} {style.prompt}", style.negative))
    await require_words_allowed(interaction, (style.name, words_of_name(style.name), style.prompt, style.negative))


def require_readable(models: Sequence[Model], style: Style) -> None:
    """Raise `InvalidRequestError` for a style that no model can paint: it names a LoRA, say, that is not here."""
    wrong: InvalidRequestError | None = None
    for model in models:
        try:
            read_prompts(model, style.prompt, style.negative)
        except InvalidRequestError as error:
            wrong = wrong or error
        else:
            return
    if wrong is not None:
        raise wrong


async def keep_style(interaction: Interaction, style: Style) -> None:
    """Keep a style, record it, and tell the log channel. Raise `InvalidRequestError` where there are too many."""
    await require_style_allowed(interaction, style)
    require_readable(interaction.client.services.generation.catalog.models, style)
    said = Phrase(KEPT, name=style.name)
    await interaction.client.services.styles.save(style, build_audit_entry(interaction, said))
    await tell_log_channel(interaction, said)


async def remove_style(interaction: Interaction, guild_id: int, name: str) -> Style:
    """Take a style away, record it, and tell the log channel. Raise `InvalidRequestError` if there is none."""
    styles = interaction.client.services.styles
    style = await styles.fetch(guild_id, name)
    said = Phrase("removed the style “{name}”", name=style.name)
    await styles.remove(guild_id, style.name, build_audit_entry(interaction, said))
    await tell_log_channel(interaction, said)
    return style


def build_items(known: Sequence[Style], *, room: int) -> tuple[str, list[ui.Item[Any]]]:
    """Return what the page says in so much room, and its menu and button; the panel gives them their custom ids."""
    lines = [format_style(each) for each in known]
    number = min(MAX_OPTIONS, count_fitting(lines, room - NOTE_ROOM))
    if number < len(lines):
        lines[number:] = [
            format_small(_("and {number} more: `/style list`, `/style remove`", number=len(known) - number))
        ]
    text = "\n".join(lines) or _(NONE_YET)
    button: ui.Button[Any] = ui.Button(label=_("Add a style"), custom_id=ADD)
    if not known:
        return text, [button]
    options = [discord.SelectOption(label=each.name, value=each.name) for each in known[:MAX_OPTIONS]]
    menu: ui.Select[Any] = ui.Select(options=options, placeholder=_("Remove a style …"), custom_id=REMOVE)
    return text, [menu, button]


async def ask_for_style(interaction: Interaction) -> None:
    """Show the form."""
    hint = _("{prompt} stands for the member's prompt. Without it, the prompt comes first.", prompt="{prompt}")
    fields = (
        Text(key=_NAME, label=_("Name"), is_required=True, max_chars=MAX_NAME_CHARS),
        Text(key=_PROMPT, label=_("Words"), hint=hint, is_long=True, is_required=True, max_chars=MAX_PROMPT_CHARS),
        Text(key=_NEGATIVE, label=_("What to avoid"), is_long=True, max_chars=MAX_PROMPT_CHARS),
    )
    await open_form(interaction, Form(action=Action.STYLE, subject="", title=_("Add a style"), fields=fields))


async def keep_typed_style(interaction: Interaction, answers: Answers) -> int:
    """Keep the style of a sent form and return the server's id. Raise `NotAllowedError` or `InvalidRequestError`."""
    guild_id = require_manager(interaction)
    typed = {key: clean_typed_prompt(answers.texts.get(key)) for key in (_NAME, _PROMPT, _NEGATIVE)}
    await keep_style(interaction, Style(guild_id=guild_id, **typed))
    return guild_id
