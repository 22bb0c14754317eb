"""A guild's settings as a file, to keep or to take to another server. What the operator decides is not in it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from generation.choices import Choices
from generation.errors import InvalidRequest
from generation.guild import GuildSettings, SafetyLevel

VERSION = 1


class SettingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in the file."""

    safety: SafetyLevel
    timezone: str
    choices: Choices
    version: int = VERSION


def export_settings(settings: GuildSettings) -> bytes:
    packed = msgspec.json.encode(SettingsFile(settings.safety, settings.timezone, settings.choices))
    return msgspec.json.format(packed, indent=1)


def import_settings(data: bytes, into: GuildSettings) -> GuildSettings:
    """`into` with the choices of the file. Raises `InvalidRequest` saying what is wrong with it."""
    try:
        text = data.decode("utf-8-sig")
        taken = msgspec.json.decode(text, type=SettingsFile)
    except UnicodeDecodeError as wrong:
        problem = f"is not UTF-8 text (byte {wrong.start}). Save it as UTF-8 and try again."
        raise InvalidRequest(what="The file", problem=problem) from None
    except msgspec.DecodeError as wrong:
        raise InvalidRequest(what="The file", problem=f"cannot be read as settings: {str(wrong)[:150]}.") from None
    return replace(into, safety=taken.safety, timezone=taken.timezone, choices=taken.choices)
