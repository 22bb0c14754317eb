"""A guild's settings as a file, to keep or to take to another server. What the operator decides is not in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from generation.errors import NotUtf8Error
from generation.policy.errors import SettingsFileError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.style import Style
from generation.safety.visibility import SafetyLevel

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
    choices: GuildPreferences
    styles: tuple[StyleInFile, ...] | None = None
    version: int = VERSION

    def over(self, settings: GuildSettings) -> GuildSettings:
        """Return `settings` with the choices of the file. Raise `InvalidRequestError` for a time zone that is not
        known."""
        return replace(settings, safety=self.safety, timezone=self.timezone, choices=self.choices)

    def styles_of(self, guild_id: int) -> tuple[Style, ...] | None:
        """Return its styles as those of this guild; None if it says nothing of styles. Raise `InvalidRequestError`."""
        if self.styles is None:
            return None
        return tuple(
            Style(guild_id=guild_id, name=each.name, prompt=each.prompt, negative=each.negative) for each in self.styles
        )


def export_settings(settings: GuildSettings, styles: Iterable[Style]) -> bytes:
    kept = tuple(StyleInFile(each.name, each.prompt, each.negative) for each in styles)
    packed = msgspec.json.encode(SettingsFile(settings.safety, settings.timezone, settings.choices, kept))
    return msgspec.json.format(packed, indent=1)


def read_settings(data: bytes) -> SettingsFile:
    """Return the settings of a file. Raise `InvalidRequestError` saying what is wrong with it."""
    try:
        return msgspec.json.decode(data.decode("utf-8-sig"), type=SettingsFile)
    except UnicodeDecodeError as wrong:
        raise NotUtf8Error(byte=wrong.start) from None
    except msgspec.DecodeError as wrong:
        raise SettingsFileError(reason=str(wrong)[:150]) from None
