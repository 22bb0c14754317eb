"""Every choice of the settings panel: what it is called, what can be chosen, and how the settings change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cogs.i18n.gettext import N_, get_language_name, list_languages
from generation.policy.guild_preferences import (
    ASPECTS,
    AUTO,
    MAX_NAMED,
    GuildPreferences,
    Pressers,
    Spoilers,
    Visibility,
)
from generation.policy.guild_settings import GuildSettings
from generation.requests.ranges import MAX_COUNT, MAX_SIDE_PX, MAX_STEPS
from generation.safety.strictness import Strictness
from generation.safety.visibility import SafetyLevel
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


def _read_choice(
    key: str, title: str, read: Callable[[str], Any], options: Callable[[Installed], Sequence[Option]]
) -> Field:
    """Return a menu with exactly one choice, kept in `GuildPreferences` under its key."""
    return Field(
        key=key,
        title=title,
        empty="",
        chosen=lambda settings: (str(getattr(settings.choices, key)),),
        change=lambda settings, values: _with(settings, **{key: read(values[0])}),
        options=options,
    )


def _named(key: str, title: str, empty: str, of: Of) -> Field:
    """Return a menu of channels or roles, none of which means all."""
    return Field(
        key=key,
        title=title,
        empty=empty,
        chosen=lambda settings: [str(each) for each in getattr(settings.choices, key)],
        change=lambda settings, values: _with(settings, **{key: tuple(int(each) for each in values)}),
        of=of,
        most=MAX_NAMED,
        is_required=False,
    )


def _with(settings: GuildSettings, **changes: Any) -> GuildSettings:
    return replace(settings, choices=replace(settings.choices, **changes))


def _fixed(*options: Option) -> Callable[[Installed], Sequence[Option]]:
    return lambda installed: options


def _up_to(form: str, *numbers: int) -> Callable[[Installed], Sequence[Option]]:
    return _fixed(*((Phrase(form, number=number), str(number)) for number in numbers))


MODELS = Field(
    key="models",
    title=N_("Models"),
    empty=N_("all models"),
    chosen=lambda settings: settings.choices.models,
    change=lambda settings, values: replace(
        settings, choices=_allow_models(settings.choices, tuple(dict.fromkeys(values)))
    ),
    options=lambda installed: [(name, name) for name in installed.models],
    most=MAX_NAMED,
    is_required=False,
)
DEFAULT_MODEL = Field(
    key="default_model",
    title=N_("Default model"),
    empty=N_("the bot's own default"),
    chosen=lambda settings: [settings.choices.default_model] if settings.choices.default_model else [],
    change=lambda settings, values: _with(settings, default_model=values[0] if values else None),
    options=lambda installed: [(name, name) for name in installed.models],
    is_required=False,
)
UPSCALER = Field(
    key="default_upscaler",
    title=N_("Upscaler"),
    empty=N_("what the model brings, else the first that was added"),
    chosen=lambda settings: [settings.choices.default_upscaler] if settings.choices.default_upscaler else [],
    change=lambda settings, values: _with(settings, default_upscaler=values[0] if values else None),
    options=lambda installed: [(name, name) for name in installed.upscalers],
    is_required=False,
)
ASPECT = Field(
    key="default_aspect",
    title=N_("Default shape"),
    empty=N_("square, in the model's native size"),
    chosen=lambda settings: [settings.choices.default_aspect] if settings.choices.default_aspect else [],
    change=lambda settings, values: _with(settings, default_aspect=values[0] if values else None),
    options=_fixed(*((each, each) for each in ASPECTS)),
    is_required=False,
)
STEPS = _read_choice("max_steps", N_("Steps"), int, _up_to(N_("at most {number} steps"), 10, 20, 30, 50, 75, MAX_STEPS))
SIDE = _read_choice(
    "max_side_px", N_("Size"), int, _up_to(N_("at most {number} pixels a side"), 512, 768, 1024, 1536, MAX_SIDE_PX)
)
COUNT = _read_choice(
    "max_count", N_("Pictures at once"), int, _up_to(N_("at most {number} at once"), 1, 2, 3, 4, 6, 8, MAX_COUNT)
)
CHANNELS = _named("channel_ids", N_("Where I paint"), N_("every channel where I may write"), Of.CHANNELS)
ROLES = _named("role_ids", N_("Who may make requests"), N_("everyone"), Of.ROLES)
START_ROLES = _named("start_image_role_ids", N_("Who may use their own start images"), N_("everyone"), Of.ROLES)
VISIBILITY = _read_choice(
    "visibility",
    N_("Who sees results"),
    Visibility,
    _fixed(
        (Phrase("everyone, but members may prefer private answers (`/me`)"), Visibility.PUBLIC.value),
        (Phrase("always everyone"), Visibility.ALWAYS_PUBLIC.value),
        (Phrase("only the member who made the request"), Visibility.PRIVATE.value),
    ),
)
PRESSERS = _read_choice(
    "pressers",
    N_("Who may press Reroll, Vary and Upscale"),
    Pressers,
    _fixed(
        (Phrase("everyone; the member who presses pays"), Pressers.EVERYONE.value),
        (Phrase("only the member who made the request"), Pressers.OWNER.value),
    ),
)
SPOILERS = _read_choice(
    "spoilers",
    N_("Pictures behind a spoiler"),
    Spoilers,
    _fixed(
        (Phrase("those whose member asks for it"), Spoilers.ASKED.value),
        (Phrase("all"), Spoilers.ALL.value),
    ),
)
PER_MINUTE = _read_choice(
    "requests_per_minute",
    N_("Requests per member and minute"),
    int,
    lambda installed: (
        (Phrase("no limit"), "0"),
        *_up_to(N_("{number} a minute"), 1, 2, 3, 5, 10, 20)(installed),
    ),
)
WITHHELD = _read_choice(
    "withheld_per_hour",
    N_("Pause after too many withheld pictures"),
    int,
    lambda installed: (
        (Phrase("never"), "0"),
        *_up_to(N_("after {number} within an hour"), 3, 5, 10, 20, 50)(installed),
    ),
)
SAFETY = Field(
    key="safety",
    title=N_("Pictures that the safety checker flags"),
    empty="",
    chosen=lambda settings: (settings.safety.value,),
    change=lambda settings, values: replace(settings, safety=SafetyLevel(values[0])),
    options=_fixed(
        (Phrase("withhold and refund"), SafetyLevel.BLOCK.value),
        (Phrase("show behind a spoiler"), SafetyLevel.BLUR.value),
        (Phrase("show in age-restricted channels only, withhold elsewhere"), SafetyLevel.OFF.value),
    ),
)
STRICTNESS = _read_choice(
    "strictness",
    N_("How strictly the safety checker looks"),
    Strictness,
    _fixed(
        (Phrase("by the bot's own thresholds"), Strictness.USUAL.value),
        (Phrase("strictly: thresholds a quarter lower"), Strictness.STRICT.value),
        (Phrase("most strictly: thresholds lowered by half"), Strictness.STRICTEST.value),
    ),
)
REVIEW = _read_choice(
    "review_hours",
    N_("Keep flagged pictures, blurred, for moderators"),
    int,
    _fixed(
        (Phrase("never store them"), "0"),
        (Phrase("for a day"), "24"),
        (Phrase("for three days"), "72"),
        (Phrase("for a week"), "168"),
        (Phrase("for two weeks"), "336"),
    ),
)
RETENTION = _read_choice(
    "retention_days",
    N_("Delete finished pictures"),
    int,
    _fixed(
        (Phrase("never"), "0"),
        (Phrase("after a day"), "1"),
        *((Phrase("after {number} days", number=days), str(days)) for days in (7, 30, 90, 365)),
    ),
)
LOG = Field(
    key="log_channel_id",
    title=N_("Channel for changes of settings and rules"),
    empty=N_("no channel (changes are listed in this panel)"),
    chosen=lambda settings: [str(settings.choices.log_channel_id)] if settings.choices.log_channel_id else [],
    change=lambda settings, values: _with(settings, log_channel_id=int(values[0]) if values else 0),
    of=Of.CHANNELS,
    is_required=False,
)
LANGUAGE = _read_choice(
    "language",
    N_("Language of public messages"),
    str,
    lambda models: (
        (Phrase("same as the server's language on Discord"), AUTO),
        *((get_language_name(language), language) for language in list_languages()),
    ),
)

PAGES: dict[str, tuple[str, tuple[Field, ...]]] = {
    "what": (N_("What is painted"), (MODELS, DEFAULT_MODEL, UPSCALER, ASPECT, STEPS, SIDE, COUNT)),
    "who": (N_("Where and who"), (CHANNELS, ROLES, START_ROLES, PER_MINUTE, VISIBILITY, SPOILERS, PRESSERS)),
    "safety": (N_("Safety and keeping"), (SAFETY, STRICTNESS, REVIEW, WITHHELD, RETENTION, LOG, LANGUAGE)),
}
FIELDS = {field.key: field for _, fields in PAGES.values() for field in fields}


def describe_choice(field: Field, values: Sequence[str], installed: Installed = NOTHING_INSTALLED) -> str:
    """Return what is chosen, for people: a label, which may be a phrase still to be said, or names in a row."""
    if not values:
        return Phrase(field.empty)
    if field.of is Of.CHANNELS:
        return ", ".join(f"<#{value}>" for value in values)
    if field.of is Of.ROLES:
        return ", ".join(f"<@&{value}>" for value in values)
    labels = {value: label for label, value in field.options(installed)}
    if len(values) == 1:
        return labels.get(values[0], values[0])
    return ", ".join(labels.get(value, value) for value in values)


def _allow_models(choices: GuildPreferences, models: tuple[str, ...]) -> GuildPreferences:
    """Allow these models. A default that is no longer allowed goes with the others."""
    keeps = not models or choices.default_model in models
    return replace(choices, models=models, default_model=choices.default_model if keeps else None)
