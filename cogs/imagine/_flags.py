"""Flags in a typed prompt (`--ar 3:2`) joined with the options of the command."""

from __future__ import annotations

from typing import Any

from cogs.common import transformers
from cogs.common.member_defaults import fetch_default_model
from cogs.context import Interaction
from cogs.i18n.gettext import N_, _
from generation.models.catalog import Model
from generation.models.sizes import find_closest_aspect
from generation.requests.flags import MAX_SHOWN_CHARS, Flags, read_flags
from generation.requests.prompt import join_words

LEFT_OUT = N_("I left these out, because there is nothing like them here: {flags}.")
CLASH = N_("I used the options of the command, not these in the prompt: {flags}.")
OTHER_SHAPE = N_("I paint {shape} instead of {typed}, because it is the nearest shape.")
MAX_NAMED = 10


async def join_flags(
    interaction: Interaction, prompt: str, options: dict[str, Any]
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Return the prompt without its flags, the options with them, and what to tell the person.

    `options` are those of the command, None for what was left out: they win. What is to be avoided is joined. Raise
    `InvalidRequestError` for a flag with a value that cannot be.
    """
    words, flags = read_flags(transformers.clean_typed_prompt(prompt))
    values = dict(flags.values)
    notes = [_format(LEFT_OUT, flags.left_out)] if flags.left_out else []
    avoided = transformers.clean_typed_prompt(options.get("negative"))
    if "negative" in values:
        values["negative"] = join_words(avoided if avoided != "-" else "", values["negative"])
        options = options | {"negative": None}
    if "model" in values:
        values["model"] = _find_model(interaction, values["model"])
    lost = [name for name, value in values.items() if _clashes(options, name, value)]
    if lost:
        notes.append(_format(CLASH, tuple(flags.written[name] for name in lost)))
    joined = options | {name: value for name, value in values.items() if name not in lost}
    if "aspect" in values and "aspect" not in lost:
        notes += await _fit_aspect(interaction, joined, flags)
    return words, joined, tuple(notes)


def _clashes(options: dict[str, Any], name: str, value: Any) -> bool:
    """Return whether an option says otherwise; shape and size are two ways to say one thing."""
    if name in ("aspect", "size") and options.get("aspect" if name == "size" else "size") is not None:
        return True
    return options.get(name) is not None and options[name] != value


def _find_model(interaction: Interaction, name: str) -> Model:
    catalog = interaction.client.services.generation.catalog
    return catalog.get(next((each.name for each in catalog.models if each.name.casefold() == name.casefold()), name))


async def _fit_aspect(interaction: Interaction, joined: dict[str, Any], flags: Flags) -> list[str]:
    """Put the nearest shape there is in place of the typed one, and tell so."""
    model = joined.get("model") or await fetch_default_model(interaction)
    typed, joined["aspect"] = joined["aspect"], find_closest_aspect(model, joined["aspect"])
    return (
        []
        if joined["aspect"] == typed
        else [_(OTHER_SHAPE, shape=joined["aspect"], typed=f"`{flags.written['aspect']}`")]
    )


def _format(text: str, flags: tuple[str, ...]) -> str:
    shown = (f"`{flag[:MAX_SHOWN_CHARS].replace('`', '')}`" for flag in flags[:MAX_NAMED])
    return _(text, flags=", ".join((*shown, *["…"] * (len(flags) > MAX_NAMED))))
