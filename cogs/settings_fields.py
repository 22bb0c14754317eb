"""Every choice of the settings panel: what it is called, what can be chosen, and how the settings change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cogs.words import plural
from generation.choices import ASPECTS, MAX_NAMED, Choices, Pressers, Visibility
from generation.guild import GuildSettings, SafetyLevel
from generation.request import MAX_COUNT, MAX_SIDE_PX, MAX_STEPS

Option = tuple[str, str]
"""Label and value."""


class Of(StrEnum):
    """What a menu lists."""

    OPTIONS = "options"
    CHANNELS = "channels"
    ROLES = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One menu of the panel. `options` are those to choose from, given the names of the models."""

    key: str
    title: str
    empty: str
    """What nothing chosen means."""
    chosen: Callable[[GuildSettings], Sequence[str]]
    change: Callable[[GuildSettings, Sequence[str]], GuildSettings]
    options: Callable[[Sequence[str]], Sequence[Option]] = lambda models: ()
    of: Of = Of.OPTIONS
    most: int = 1
    is_required: bool = True


def _choice(
    key: str, title: str, read: Callable[[str], Any], options: Callable[[Sequence[str]], Sequence[Option]]
) -> Field:
    """A menu with exactly one choice, kept in `Choices` under its key."""
    return Field(
        key=key,
        title=title,
        empty="",
        chosen=lambda settings: (str(getattr(settings.choices, key)),),
        change=lambda settings, values: _with(settings, **{key: read(values[0])}),
        options=options,
    )


def _named(key: str, title: str, empty: str, of: Of) -> Field:
    """A menu of channels or roles, none of which means all."""
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


def _fixed(*options: Option) -> Callable[[Sequence[str]], Sequence[Option]]:
    return lambda models: options


def _up_to(most: int, *lower: int, unit: str) -> Callable[[Sequence[str]], Sequence[Option]]:
    return _fixed(*((f"at most {number} {unit}", str(number)) for number in (*lower, most)))


MODELS = Field(
    key="models",
    title="Models",
    empty="all models",
    chosen=lambda settings: settings.choices.models,
    change=lambda settings, values: replace(
        settings, choices=_allow_models(settings.choices, tuple(dict.fromkeys(values)))
    ),
    options=lambda models: [(name, name) for name in models[:MAX_NAMED]],
    most=MAX_NAMED,
    is_required=False,
)
DEFAULT_MODEL = Field(
    key="default_model",
    title="Usual model",
    empty="the bot's own default",
    chosen=lambda settings: [settings.choices.default_model] if settings.choices.default_model else [],
    change=lambda settings, values: _with(settings, default_model=values[0] if values else None),
    options=lambda models: [(name, name) for name in models[:MAX_NAMED]],
    is_required=False,
)
ASPECT = Field(
    key="default_aspect",
    title="Usual shape",
    empty="square, as the model likes it",
    chosen=lambda settings: [settings.choices.default_aspect] if settings.choices.default_aspect else [],
    change=lambda settings, values: _with(settings, default_aspect=values[0] if values else None),
    options=_fixed(*((each, each) for each in ASPECTS)),
    is_required=False,
)
STEPS = _choice("max_steps", "Steps", int, _up_to(MAX_STEPS, 10, 20, 30, 50, 75, unit="steps"))
SIDE = _choice("max_side_px", "Size", int, _up_to(MAX_SIDE_PX, 512, 768, 1024, 1536, unit="pixels a side"))
COUNT = _choice("max_count", "Pictures at once", int, _up_to(MAX_COUNT, 1, 2, 3, unit="at once"))
CHANNELS = _named("channel_ids", "Where I paint", "every channel I may write to", Of.CHANNELS)
ROLES = _named("role_ids", "Who may ask", "everyone", Of.ROLES)
START_ROLES = _named("start_image_role_ids", "Who may start from a picture of their own", "everyone", Of.ROLES)
VISIBILITY = _choice(
    "visibility",
    "Who sees results",
    Visibility,
    _fixed(("everyone sees them", Visibility.PUBLIC.value), ("only who asked", Visibility.PRIVATE.value)),
)
PRESSERS = _choice(
    "pressers",
    "Who may press Reroll, Vary and Upscale",
    Pressers,
    _fixed(("everyone, charged to who presses", Pressers.EVERYONE.value), ("only who asked", Pressers.OWNER.value)),
)
SAFETY = Field(
    key="safety",
    title="Pictures the safety checker flags",
    empty="",
    chosen=lambda settings: (settings.safety.value,),
    change=lambda settings, values: replace(settings, safety=SafetyLevel(values[0])),
    options=_fixed(
        ("kept back and refunded", SafetyLevel.BLOCK.value),
        ("shown behind a spoiler", SafetyLevel.BLUR.value),
        ("shown, in age-restricted channels only; else kept back", SafetyLevel.OFF.value),
    ),
)
REVIEW = _choice(
    "review_hours",
    "Keep flagged pictures, blurred, for moderators",
    int,
    _fixed(
        ("never store them", "0"),
        ("for a day", "24"),
        ("for three days", "72"),
        ("for a week", "168"),
        ("two weeks", "336"),
    ),
)
RETENTION = _choice(
    "retention_days",
    "Delete finished pictures from my disk",
    int,
    _fixed(
        ("never", "0"),
        *((f"after {plural(days, 'day')}", str(days)) for days in (1, 7, 30, 90, 365)),
    ),
)
LOG = Field(
    key="log_channel_id",
    title="Tell changes of settings and rules in",
    empty="nowhere (the history has them)",
    chosen=lambda settings: [str(settings.choices.log_channel_id)] if settings.choices.log_channel_id else [],
    change=lambda settings, values: _with(settings, log_channel_id=int(values[0]) if values else 0),
    of=Of.CHANNELS,
    is_required=False,
)

PAGES: dict[str, tuple[str, tuple[Field, ...]]] = {
    "what": ("What is painted", (MODELS, DEFAULT_MODEL, ASPECT, STEPS, SIDE, COUNT)),
    "who": ("Where and who", (CHANNELS, ROLES, START_ROLES, VISIBILITY, PRESSERS)),
    "safety": ("Safety and keeping", (SAFETY, REVIEW, RETENTION, LOG)),
}
FIELDS = {field.key: field for _, fields in PAGES.values() for field in fields}


def described(field: Field, values: Sequence[str], models: Sequence[str]) -> str:
    """What is chosen, for people."""
    if not values:
        return field.empty
    if field.of is Of.CHANNELS:
        return ", ".join(f"<#{value}>" for value in values)
    if field.of is Of.ROLES:
        return ", ".join(f"<@&{value}>" for value in values)
    labels = {value: label for label, value in field.options(models)}
    return ", ".join(labels.get(value, value) for value in values)


def _allow_models(choices: Choices, models: tuple[str, ...]) -> Choices:
    """A default that is no longer allowed goes with the others."""
    keeps = not models or choices.default_model in models
    return replace(choices, models=models, default_model=choices.default_model if keeps else None)
