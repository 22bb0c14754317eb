"""What a member reads about their own defaults. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection

from cogs.common.formatting import escape_markdown, format_small
from cogs.common.messages import MessageSpec
from cogs.i18n.gettext import N_, _, format_measure, get_language_name, list_languages
from generation.policy.defaults import GONE, NOT_USED
from generation.policy.guild_preferences import ASPECTS, AUTO, GuildPreferences, Visibility
from generation.policy.member_preferences import MemberPreferences, NotifyBy
from generation.requests.samplers import SAMPLERS

TITLE = N_("### Your defaults")
CHANGED = N_("Changed. It holds from your next request on, in every server.")
LEFT_OPEN = N_("not chosen")
ORDER = N_(
    "What you type comes first, then your defaults, those of the channel, those of the server, and those of the model. "
    "Change them with `/me set` and `/me reset`."
)
ALL_PUBLIC = N_("this server shows all answers to everyone")
ALL_PRIVATE = N_("this server shows every answer to its member alone")
ON_REQUEST = N_("when you press “Tell me when done”")
ALWAYS = N_("always")
OVER = N_("for waits over {time}, or when you press “Tell me when done”")
BY = {NotifyBy.MENTION: N_("by a mention"), NotifyBy.MESSAGE: N_("by a direct message")}
MAX_SHOWN_WORDS = 1000


def build_preferences(
    own: MemberPreferences, choices: GuildPreferences, models: Collection[str], *, done: str | None = None
) -> MessageSpec:
    """Return a member's defaults, `done` first: what was just changed. `models`: the names there are."""
    facts = {
        N_("Model"): _mark(own.model, _find_model_trouble(own, choices, models)),
        N_("Shape"): _mark(own.shape, None if own.shape in ASPECTS else GONE),
        N_("Sampler"): _mark(own.sampler, None if own.sampler in SAMPLERS else GONE),
        N_("What to avoid"): _mark(own.negative),
        N_("Who sees the answers"): _format_visibility(own, choices),
        N_("Language"): _format_language(own.language),
        N_("Tell me when done"): f"{_format_notice(own.notify_over_s)}, {_(BY[own.notify_by])}",
    }
    lines = "\n".join(f"**{_(name)}** {value}" for name, value in facts.items())
    return MessageSpec(blocks=(_(TITLE), *([done] if done else []), lines, format_small(_(ORDER))))


def _mark(value: str | None, trouble: str | None = None) -> str:
    """Return a value, and why it is not used."""
    if value is None:
        return _(LEFT_OPEN)
    shown = escape_markdown(value, limit=MAX_SHOWN_WORDS)
    return shown if trouble is None else f"{shown} ({_(trouble)})"


def _find_model_trouble(own: MemberPreferences, choices: GuildPreferences, models: Collection[str]) -> str | None:
    if own.model not in models:
        return GONE
    return NOT_USED if choices.models and own.model not in choices.models else None


def _format_visibility(own: MemberPreferences, choices: GuildPreferences) -> str:
    said = _("only you") if own.is_private else _("everyone")
    if own.is_private and choices.visibility is Visibility.ALWAYS_PUBLIC:
        return f"{said} ({_(ALL_PUBLIC)})"
    if not own.is_private and choices.visibility is Visibility.PRIVATE:
        return f"{said} ({_(ALL_PRIVATE)})"
    return said


def _format_language(language: str) -> str:
    if language == AUTO:
        return _("the language of your Discord")
    return get_language_name(language) if language in list_languages() else _mark(language, GONE)


def _format_notice(over_s: int | None) -> str:
    if over_s is None:
        return _(ON_REQUEST)
    return _(OVER, time=format_measure(over_s / 60, "duration-minute")) if over_s else _(ALWAYS)
