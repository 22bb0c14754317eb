"""What a choice of the settings panel is made of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from generation.policy.guild_preferences import MAX_NAMED
from generation.policy.guild_settings import GuildSettings
from generation.translatable import Phrase

Option = tuple[str, str]
"""Label and value. A label that is a `Phrase` is said in the reader's language; another is a name."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The names of what there is, for menus that list them."""

    models: Sequence[str] = ()
    upscalers: Sequence[str] = ()
    styles: Sequence[str] = ()
    """Of the server."""
    tags: Sequence[Option] = ()
    """Of the forum that is chosen for sharing."""


NOTHING_INSTALLED = Installed()


class Of(StrEnum):
    """What a menu lists."""

    OPTIONS = "options"
    CHANNELS = "channels"
    ROLES = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One menu of the panel. `options` are those to choose from, given the names of what is installed."""

    key: str
    title: str
    empty: str
    """What nothing chosen means."""
    chosen: Callable[[GuildSettings], Sequence[str]]
    change: Callable[[GuildSettings, Sequence[str]], GuildSettings]
    options: Callable[[Installed], Sequence[Option]] = lambda installed: ()
    of: Of = Of.OPTIONS
    most: int = 1
    is_required: bool = True


def read_choice(
    key: str, title: str, read: Callable[[str], Any], options: Callable[[Installed], Sequence[Option]]
) -> Field:
    """Return a menu with exactly one choice, kept in `GuildPreferences` under its key."""
    return Field(
        key=key,
        title=title,
        empty="",
        chosen=lambda settings: (str(getattr(settings.choices, key)),),
        change=lambda settings, values: with_choices(settings, **{key: read(values[0])}),
        options=options,
    )


def build_named(key: str, title: str, empty: str, of: Of) -> Field:
    """Return a menu of channels or roles, none of which means all."""
    return Field(
        key=key,
        title=title,
        empty=empty,
        chosen=lambda settings: [str(each) for each in getattr(settings.choices, key)],
        change=lambda settings, values: with_choices(settings, **{key: tuple(int(each) for each in values)}),
        of=of,
        most=MAX_NAMED,
        is_required=False,
    )


def with_choices(settings: GuildSettings, **changes: Any) -> GuildSettings:
    return replace(settings, choices=replace(settings.choices, **changes))


def list_fixed(*options: Option) -> Callable[[Installed], Sequence[Option]]:
    return lambda installed: options


def list_up_to(form: str, *numbers: int) -> Callable[[Installed], Sequence[Option]]:
    return list_fixed(*((Phrase(form, number=number), str(number)) for number in numbers))
