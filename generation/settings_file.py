"""A guild's settings as a file, to keep or to take to another server. What the operator decides is not in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from generation.choices import Choices
from generation.errors import InvalidRequest
from generation.guild import GuildSettings, SafetyLevel
from generation.phrase import Phrase
from generation.style import Style

MAX_FILE_BYTES = 1024 * 1024
VERSION = 2
"""Since 2 the styles are in it; what a file of 1 does not say stays as it is."""


class StyleInFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    prompt: str
    negative: str = ""


class SettingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in the file."""

    safety: SafetyLevel
    timezone: str
    choices: Choices
    styles: tuple[StyleInFile, ...] | None = None
    version: int = VERSION


def export_settings(settings: GuildSettings, styles: Iterable[Style]) -> bytes:
    kept = tuple(StyleInFile(each.name, each.prompt, each.negative) for each in styles)
    packed = msgspec.json.encode(SettingsFile(settings.safety, settings.timezone, settings.choices, kept))
    return msgspec.json.format(packed, indent=1)


def import_settings(data: bytes, into: GuildSettings) -> tuple[GuildSettings, tuple[Style, ...] | None]:
    """`into` with the choices of the file, and its styles (None: it says nothing of styles).

    Raises `InvalidRequest` saying what is wrong with it.
    """
    try:
        text = data.decode("utf-8-sig")
        taken = msgspec.json.decode(text, type=SettingsFile)
    except UnicodeDecodeError as wrong:
        problem = Phrase("is not UTF-8 text (byte {byte}). Save it as UTF-8 and try again.", byte=wrong.start)
        raise InvalidRequest(what=Phrase("The file"), problem=problem) from None
    except msgspec.DecodeError as wrong:
        problem = Phrase("cannot be read as settings: {reason}.", reason=str(wrong)[:150])
        raise InvalidRequest(what=Phrase("The file"), problem=problem) from None
    styles = None
    if taken.styles is not None:
        styles = tuple(
            Style(guild_id=into.guild_id, name=each.name, prompt=each.prompt, negative=each.negative)
            for each in taken.styles
        )
    return replace(into, safety=taken.safety, timezone=taken.timezone, choices=taken.choices), styles
