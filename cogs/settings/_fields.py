"""Every choice of the settings panel: what it is called, what can be chosen, and how the settings change. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogs.i18n.gettext import N_, get_language_name, list_languages
from cogs.settings._field_kinds import (
    NOTHING_INSTALLED,
    Field,
    Installed,
    Of,
    build_named,
    list_fixed,
    list_up_to,
    read_choice,
    with_choices,
)
from generation.policy.guild_preferences import (
    ASPECTS,
    AUTO,
    MAX_NAMED,
    Credit,
    GuildPreferences,
    Pressers,
    Spoilers,
    Visibility,
)
from generation.requests.ranges import MAX_COUNT, MAX_SIDE_PX, MAX_STEPS
from generation.safety.strictness import Strictness
from generation.safety.visibility import SafetyLevel
from generation.translatable import Phrase

MAX_TAGS = 5
"""That one post of a forum may have."""

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
    change=lambda settings, values: with_choices(settings, default_model=values[0] if values else None),
    options=lambda installed: [(name, name) for name in installed.models],
    is_required=False,
)
UPSCALER = Field(
    key="default_upscaler",
    title=N_("Upscaler"),
    empty=N_("what the model brings, else the first that was added"),
    chosen=lambda settings: [settings.choices.default_upscaler] if settings.choices.default_upscaler else [],
    change=lambda settings, values: with_choices(settings, default_upscaler=values[0] if values else None),
    options=lambda installed: [(name, name) for name in installed.upscalers],
    is_required=False,
)
ASPECT = Field(
    key="default_aspect",
    title=N_("Default shape"),
    empty=N_("square, in the model's native size"),
    chosen=lambda settings: [settings.choices.default_aspect] if settings.choices.default_aspect else [],
    change=lambda settings, values: with_choices(settings, default_aspect=values[0] if values else None),
    options=list_fixed(*((each, each) for each in ASPECTS)),
    is_required=False,
)
STEPS = read_choice(
    "max_steps", N_("Steps"), int, list_up_to(N_("at most {number} steps"), 10, 20, 30, 50, 75, MAX_STEPS)
)
SIDE = read_choice(
    "max_side_px", N_("Size"), int, list_up_to(N_("at most {number} pixels a side"), 512, 768, 1024, 1536, MAX_SIDE_PX)
)
COUNT = read_choice(
    "max_count", N_("Pictures at once"), int, list_up_to(N_("at most {number} at once"), 1, 2, 3, 4, 6, 8, MAX_COUNT)
)
CHANNELS = build_named("channel_ids", N_("Where I paint"), N_("every channel where I may write"), Of.CHANNELS)
ROLES = build_named("role_ids", N_("Who may make requests"), N_("everyone"), Of.ROLES)
START_ROLES = build_named("start_image_role_ids", N_("Who may use their own start images"), N_("everyone"), Of.ROLES)
VISIBILITY = read_choice(
    "visibility",
    N_("Who sees results"),
    Visibility,
    list_fixed(
        (Phrase("everyone, but members may prefer private answers (`/me`)"), Visibility.PUBLIC.value),
        (Phrase("always everyone"), Visibility.ALWAYS_PUBLIC.value),
        (Phrase("only the member who made the request"), Visibility.PRIVATE.value),
    ),
)
PRESSERS = read_choice(
    "pressers",
    N_("Who may press Reroll, Vary and Upscale"),
    Pressers,
    list_fixed(
        (Phrase("everyone; the member who presses pays"), Pressers.EVERYONE.value),
        (Phrase("only the member who made the request"), Pressers.OWNER.value),
    ),
)
SPOILERS = read_choice(
    "spoilers",
    N_("Pictures behind a spoiler"),
    Spoilers,
    list_fixed(
        (Phrase("those whose member asks for it"), Spoilers.ASKED.value),
        (Phrase("all"), Spoilers.ALL.value),
    ),
)
PER_MINUTE = read_choice(
    "requests_per_minute",
    N_("Requests per member and minute"),
    int,
    lambda installed: (
        (Phrase("no limit"), "0"),
        *list_up_to(N_("{number} a minute"), 1, 2, 3, 5, 10, 20)(installed),
    ),
)
WITHHELD = read_choice(
    "withheld_per_hour",
    N_("Pause after too many withheld pictures"),
    int,
    lambda installed: (
        (Phrase("never"), "0"),
        *list_up_to(N_("after {number} within an hour"), 3, 5, 10, 20, 50)(installed),
    ),
)
SAFETY = Field(
    key="safety",
    title=N_("Pictures that the safety checker flags"),
    empty="",
    chosen=lambda settings: (settings.safety.value,),
    change=lambda settings, values: replace(settings, safety=SafetyLevel(values[0])),
    options=list_fixed(
        (Phrase("withhold and refund"), SafetyLevel.BLOCK.value),
        (Phrase("show behind a spoiler"), SafetyLevel.BLUR.value),
        (Phrase("show in age-restricted channels only, withhold elsewhere"), SafetyLevel.OFF.value),
    ),
)
STRICTNESS = read_choice(
    "strictness",
    N_("How strictly the safety checker looks"),
    Strictness,
    list_fixed(
        (Phrase("by the bot's own thresholds"), Strictness.USUAL.value),
        (Phrase("strictly: thresholds a quarter lower"), Strictness.STRICT.value),
        (Phrase("most strictly: thresholds lowered by half"), Strictness.STRICTEST.value),
    ),
)
REVIEW = read_choice(
    "review_hours",
    N_("Keep flagged pictures, blurred, for moderators"),
    int,
    list_fixed(
        (Phrase("never store them"), "0"),
        (Phrase("for a day"), "24"),
        (Phrase("for three days"), "72"),
        (Phrase("for a week"), "168"),
        (Phrase("for two weeks"), "336"),
    ),
)
RETENTION = read_choice(
    "retention_days",
    N_("Delete finished pictures"),
    int,
    list_fixed(
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
    change=lambda settings, values: with_choices(settings, log_channel_id=int(values[0]) if values else 0),
    of=Of.CHANNELS,
    is_required=False,
)
LANGUAGE = read_choice(
    "language",
    N_("Language of public messages"),
    str,
    lambda models: (
        (Phrase("same as the server's language on Discord"), AUTO),
        *((get_language_name(language), language) for language in list_languages()),
    ),
)

SHARE = Field(
    key="share_channel_id",
    title=N_("Where members share their pictures"),
    empty=N_("nowhere"),
    chosen=lambda settings: [str(settings.choices.share_channel_id)] if settings.choices.share_channel_id else [],
    change=lambda settings, values: with_choices(
        settings, share_channel_id=int(values[0]) if values else 0, share_tags=()
    ),
    of=Of.CHANNELS,
    is_required=False,
)
SHARE_TAGS = Field(
    key="share_tags",
    title=N_("Tags of what is shared, if that is a forum"),
    empty=N_("no tags"),
    chosen=lambda settings: [str(each) for each in settings.choices.share_tags],
    change=lambda settings, values: with_choices(settings, share_tags=tuple(int(each) for each in values)),
    options=lambda installed: installed.tags,
    most=MAX_TAGS,
    is_required=False,
)
CREDIT = read_choice(
    "share_credit",
    N_("Whether what is shared names its author"),
    Credit,
    list_fixed((Phrase("yes"), Credit.NAMED.value), (Phrase("no"), Credit.UNNAMED.value)),
)

PAGES: dict[str, tuple[str, tuple[Field, ...]]] = {
    "what": (N_("What is painted"), (MODELS, DEFAULT_MODEL, UPSCALER, ASPECT, STEPS, SIDE, COUNT)),
    "who": (N_("Where and who"), (CHANNELS, ROLES, START_ROLES, PER_MINUTE, VISIBILITY, SPOILERS, PRESSERS)),
    "safety": (N_("Safety and keeping"), (SAFETY, STRICTNESS, REVIEW, WITHHELD, RETENTION, LOG, LANGUAGE)),
    "share": (N_("Sharing"), (SHARE, SHARE_TAGS, CREDIT)),
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
