"""What a guild has chosen in its settings panel, beside safety and time zone. Frozen; the defaults allow everything."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from generation.policy.errors import ChannelIdError, DefaultModelNotAllowedError, LanguageCodeError, TooManyNamedError
from generation.requests.defaults import DefaultOverrides
from generation.requests.errors import UnknownAspectError
from generation.requests.ranges import MAX_COUNT, MAX_SIDE_PX, MAX_STEPS, MIN_SIDE_PX, check_range
from generation.requests.word_lists import check_lists
from generation.safety.strictness import Strictness
from generation.translatable import Phrase

ASPECTS = ("1:1", "3:2", "2:3", "16:9", "9:16")
MAX_RETENTION_DAYS = 3650
AUTO = "auto"
"""No language chosen: the one the server has on Discord."""
_LANGUAGE = re.compile(r"[a-z]{2,3}([_-][A-Za-z]{2,4})?")
MAX_REVIEW_HOURS = 14 * 24
MAX_PER_MINUTE = 600
MAX_WITHHELD_PER_HOUR = 1000
MAX_NAMED = 25
"""Channels, roles or models that may be named: what a select menu holds."""


class Visibility(StrEnum):
    """Who sees results."""

    PUBLIC = "public"  # everyone, but for members who prefer to be answered privately
    ALWAYS_PUBLIC = "always_public"
    PRIVATE = "private"  # only the one who asked


class Spoilers(StrEnum):
    """Which pictures are behind a spoiler."""

    ASKED = "asked"  # those whose member asks for it
    ALL = "all"


class Credit(StrEnum):
    """Whether a shared post names the member who asked for the pictures."""

    NAMED = "named"
    UNNAMED = "unnamed"


class Pressers(StrEnum):
    """Whose buttons (reroll, vary, enlarge) a member may press."""

    EVERYONE = "everyone"
    OWNER = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDefaults:
    """What is painted in one channel where a member leaves it open; None leaves it to the server and the model."""

    model: str | None = None
    shape: str | None = None
    style: str | None = None
    """A style of the server, by its name."""


NO_CHANNEL_DEFAULTS = ChannelDefaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuildPreferences:
    """Raise `InvalidRequestError`. Ids of channels and roles; nothing named means no limit."""

    models: tuple[str, ...] = ()
    default_model: str | None = None
    model_defaults: dict[str, DefaultOverrides] = field(default_factory=dict)
    """What members who leave it open are painted with, by the name of the model."""
    default_aspect: str | None = None
    channel_defaults: dict[str, ChannelDefaults] = field(default_factory=dict)
    """By the id of the channel; they hold in its threads, too."""
    default_upscaler: str | None = None
    """What enlarges pictures where none is named; one that is no longer here counts as none."""
    max_steps: int = MAX_STEPS
    max_side_px: int = MAX_SIDE_PX
    max_count: int = MAX_COUNT
    requests_per_minute: int = 0
    """Of one member; 0 for no limit."""
    withheld_per_hour: int = 20
    """Who had so many pictures kept back within an hour has to wait: those cost them nothing. 0 for no limit."""
    channel_ids: tuple[int, ...] = ()
    role_ids: tuple[int, ...] = ()
    start_image_role_ids: tuple[int, ...] = ()
    """Who may begin from a picture of their own."""
    visibility: Visibility = Visibility.PUBLIC
    pressers: Pressers = Pressers.EVERYONE
    spoilers: Spoilers = Spoilers.ASKED
    retention_days: int = 0
    """Finished pictures are deleted from disk after so many days; 0 keeps them."""
    strictness: Strictness = Strictness.USUAL
    """How far below the operator's thresholds the checkers keep pictures back."""
    review_hours: int = 0
    """Pictures that safety kept back are kept, blurred, for moderators to see; 0 stores none."""
    log_channel_id: int = 0
    """The channel in which changes of settings and rules are posted; 0 for none."""
    share_channel_id: int = 0
    """Where members share their pictures: a channel or a forum; 0 for nowhere."""
    share_tags: tuple[int, ...] = ()
    """The tags of a post, where that is a forum."""
    share_credit: Credit = Credit.NAMED
    language: str = AUTO
    """What is said to the whole server is said in this language, by its code; `auto`: as the server is on Discord."""
    word_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines that prompts draw from, by the name of their list: `__name__`."""

    def __post_init__(self) -> None:
        check_range(Phrase("Steps"), self.max_steps, low=1, high=MAX_STEPS)
        check_range(Phrase("The largest side"), self.max_side_px, low=MIN_SIDE_PX, high=MAX_SIDE_PX)
        check_range(Phrase("Pictures at once"), self.max_count, low=1, high=MAX_COUNT)
        check_range(Phrase("Requests a minute"), self.requests_per_minute, low=0, high=MAX_PER_MINUTE)
        check_range(Phrase("Pictures kept back an hour"), self.withheld_per_hour, low=0, high=MAX_WITHHELD_PER_HOUR)
        check_range(Phrase("Retention in days"), self.retention_days, low=0, high=MAX_RETENTION_DAYS)
        check_range(Phrase("Review in hours"), self.review_hours, low=0, high=MAX_REVIEW_HOURS)
        for name, named in (
            (Phrase("Models"), self.models),
            (Phrase("Models with defaults"), self.model_defaults),
            (Phrase("Channels with defaults"), self.channel_defaults),
            (Phrase("Channels"), self.channel_ids),
            (Phrase("Roles"), self.role_ids),
            (Phrase("Roles for start images"), self.start_image_role_ids),
            (Phrase("Tags"), self.share_tags),
        ):
            if len(named) > MAX_NAMED:
                raise TooManyNamedError(name=name, most=MAX_NAMED, number=len(named))
        if self.word_lists:
            check_lists(self.word_lists)
        if not all(each.isascii() and each.isdecimal() and len(each) <= 20 for each in self.channel_defaults):
            raise ChannelIdError
        if self.language != AUTO and not _LANGUAGE.fullmatch(self.language):
            raise LanguageCodeError
        if self.default_aspect is not None and self.default_aspect not in ASPECTS:
            raise UnknownAspectError(name=self.default_aspect[:20], aspects=", ".join(ASPECTS))
        if self.default_model is not None and self.models and self.default_model not in self.models:
            raise DefaultModelNotAllowedError(name=self.default_model[:60])

    def find_channel_defaults(self, channel_ids: Iterable[int]) -> ChannelDefaults:
        """Return those of the first of these channels that has any: a thread, then what it lies in."""
        found = (self.channel_defaults.get(str(each)) for each in channel_ids)
        return next((each for each in found if each is not None), NO_CHANNEL_DEFAULTS)

    def choose_default_model(self, known: Collection[str]) -> str | None:
        """Return the model, among those `known` in order, to use if none was named; None for the default."""
        allowed = [name for name in known if not self.models or name in self.models]
        if self.default_model in allowed:
            return self.default_model
        return allowed[0] if allowed and self.models else None
